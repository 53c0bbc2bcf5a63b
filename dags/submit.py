"""The same tasks by `spark-submit`, for clusters. Imported only where the settings say so: the provider costs time."""

import re
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

import jobs
from dags.build import MakeOperator, local
from dags.operators import FINAL
from dags.pipelines import Task

__all__ = ["APPLICATION", "AsofSparkSubmitOperator", "submitted"]

APPLICATION = str(Path(jobs.__path__[0]) / "__main__.py")
"""By path in the installed package, where workers and the scheduler share an image."""

_EXIT = re.compile(r"Error code is: (\d+)")


class AsofSparkSubmitOperator(SparkSubmitOperator):
    """Knows which exits of `asof` no further attempt would change (in client mode; cluster mode reports no exit code)."""

    def execute(self, context: Context) -> None:
        """Submit and wait."""
        try:
            super().execute(context)
        except AirflowException as error:
            code = _EXIT.search(str(error))
            if code and int(code[1]) in FINAL:
                message = f"asof ended with {code[1]}; its last lines are above."
                raise AirflowFailException(message) from error
            raise


def submitted(conn_id: str) -> MakeOperator:
    """Give what submits each task that needs Spark through an Airflow connection; the light ones stay local."""

    def make(task: Task, dag_id: str) -> BaseOperator:
        if not task.spark:
            return local(task, dag_id)
        return AsofSparkSubmitOperator(
            task_id=task.name,
            application=APPLICATION,
            application_args=list(task.argv),
            conn_id=conn_id,
            name=f"{dag_id}.{task.name}",
            retries=task.retries,
            retry_delay=task.retry_delay,
            execution_timeout=task.timeout,
        )

    return make
