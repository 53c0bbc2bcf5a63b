"""The airflow DAG of one real pipeline with a stand-in command and short waits."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from airflow.sdk import BaseOperator

from dags.build import dag_of
from dags.operators import AsofOperator
from dags.pipelines import Pipeline, Task

PIPELINE = Pipeline(
    dag_id="features_toy",
    views=("card_velocity", "merchant_rates"),
    sources=("payments",),
    period=timedelta(days=1),
    phase=timedelta(0),
    publish_lag=timedelta(hours=1),
    owner="risk",
    description="toy",
    tags=("asof",),
)


def stand_in(task: Task, dag_id: str) -> BaseOperator:  # noqa: ARG001 - the shape of MakeOperator
    """The task with our command and a retry after a second."""
    task = replace(task, retry_delay=timedelta(seconds=1))
    return AsofOperator(
        task_id=task.name,
        argv=task.argv,
        program=(sys.executable, str(Path(__file__).parent / "command.py")),
        retries=task.retries,
        retry_delay=task.retry_delay,
        execution_timeout=task.timeout,
    )


features_toy = dag_of(PIPELINE, stand_in)
