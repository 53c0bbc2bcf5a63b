"""Pipelines to DAGs: a pure function. The schedule, tasks and documentation follow from the definitions."""

from collections.abc import Callable
from datetime import datetime, timedelta

from airflow.sdk import DAG, BaseOperator, CronPartitionTimetable

from dags.operators import AsofOperator
from dags.pipelines import Pipeline, Task, cut_of, metrics_pipelines, pipelines, tasks
from features.definitions.catalog import load_catalog
from features.errors import SettingsError
from features.settings import Settings

__all__ = ["KEY_FORMAT", "MakeOperator", "cron", "dag_of", "dags_of", "local"]

KEY_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""Of partition keys: the cut itself, in UTC."""

MakeOperator = Callable[[Task, str], BaseOperator]
"""Of a task and the name of its DAG."""

_MINUTE, _HOUR, _DAY, _WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_EPOCH_WEEKDAY = 4
"""1970-01-01 was a Thursday, which is 4 in cron."""


def dags_of(settings: Settings, *, only: str | None = None) -> dict[str, DAG]:
    """The DAGs of the definitions that `settings.catalog` names, by id; `only` one where a task asks for its own.

    Raises:
        InvalidCatalogError: all problems of all definitions.
        SettingsError: a schedule that Airflow cannot keep, or two DAGs of one name.
    """
    make: MakeOperator = local
    if settings.airflow.submit == "spark-submit":
        from dags.submit import submitted  # noqa: PLC0415 - the provider costs time at every parse

        make = submitted(settings.airflow.spark_conn_id)
    catalog = load_catalog(settings.catalog)
    found = (*pipelines(catalog, settings.airflow.grouping), *metrics_pipelines(catalog.metrics))
    return {pipeline.dag_id: dag_of(pipeline, make) for pipeline in found if only in (None, pipeline.dag_id)}


def local(task: Task, dag_id: str) -> BaseOperator:  # noqa: ARG001 - the shape of MakeOperator
    """The task as a process of the worker."""
    return AsofOperator(
        task_id=task.name,
        argv=list(task.argv),
        retries=task.retries,
        retry_delay=task.retry_delay,
        execution_timeout=task.timeout,
    )


def dag_of(pipeline: Pipeline, make: MakeOperator = local, *, start: datetime | None = None) -> DAG:
    """One DAG whose runs are partitioned by cut; a run starts at its cut, and later cuts wait for earlier ones.

    Args:
        pipeline: what runs, and when.
        make: a task's operator.
        start: with it, every cut from here on runs, those missed while Airflow was down or busy too. Without it the
            first run is about the first cut after the DAG is switched on; ask for others by `airflow backfill create`.

    Raises:
        SettingsError: the period or phase cannot be written as a cron line.
    """
    line = cron(pipeline.period, pipeline.phase, pipeline.dag_id)
    with DAG(
        dag_id=pipeline.dag_id,
        schedule=CronPartitionTimetable(line, timezone="UTC", key_format=KEY_FORMAT),
        start_date=start,
        catchup=start is not None,
        max_active_runs=1,
        default_args={"owner": pipeline.owner},
        description=pipeline.description,
        doc_md=_doc(pipeline),
        tags=set(pipeline.tags),
        user_defined_macros={"cut": cut_of},
    ) as dag:
        made: dict[str, BaseOperator] = {}
        for task in tasks(pipeline):
            made[task.name] = make(task, pipeline.dag_id)
            made[task.name].set_upstream([made[name] for name in task.after])
    return dag


def cron(period: timedelta, phase: timedelta, dag_id: str) -> str:
    """The cron line, in UTC, whose ticks are exactly `phase + n x period` since the epoch.

    >>> cron(timedelta(days=1), timedelta(hours=3), "x"), cron(timedelta(minutes=15), timedelta(minutes=5), "x")
    ('0 3 * * *', '5-59/15 * * * *')
    """
    minute, hour = phase % _HOUR // _MINUTE, phase % _DAY // _HOUR
    if phase % _MINUTE == timedelta(0) and timedelta(0) <= phase < period:
        if period == _WEEK:
            return f"{minute} {hour} * * {(_EPOCH_WEEKDAY + phase // _DAY) % 7}"
        if period == _DAY:
            return f"{minute} {hour} * * *"
        if _HOUR <= period < _DAY and period % _HOUR == timedelta(0) and _DAY % period == timedelta(0):
            return f"{minute} {_every(hour, 23, period // _HOUR)} * * *"
        if _MINUTE <= period < _HOUR and period % _MINUTE == timedelta(0) and _HOUR % period == timedelta(0):
            return f"{_every(minute, 59, period // _MINUTE)} * * * *"
    message = (
        f"{dag_id}: Airflow cannot start a run every {period} at {phase} past the epoch. Use a period of a week, "
        "a day, or whole minutes or hours that divide an hour or a day (15m, 1h, 6h), and a phase of whole minutes."
    )
    raise SettingsError(message)


def _every(first: int, last: int, step: int) -> str:
    return "*" if step == 1 else f"{first}-{last}/{step}"


def _doc(pipeline: Pipeline) -> str:
    views = "\n".join(f"- `{name}`" for name in (*pipeline.views, *pipeline.metrics))
    return (
        f"{pipeline.description}\n\nGenerated from the definitions; the partition key is the cut.\n\n"
        f"**Sources** {', '.join(pipeline.sources) or 'none'} · **period** {pipeline.period} · "
        f"**published** {pipeline.publish_lag} after the cut · **owner** {pipeline.owner}\n\n{views}\n"
    )
