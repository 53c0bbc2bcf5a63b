"""What runs together, in which order, as plain values made from the definitions. No Airflow here.

A pipeline is all that one cut of some views needs; its tasks are commands of `asof` whose cut is filled in at run time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, Protocol

from features.errors import InputError, SettingsError
from jobs.commands import Compute, Held, Materialize, Metrics, Prove, Publish, Ready, Stage, Validate

__all__ = [
    "CUT_TEMPLATE",
    "CatalogLike",
    "DagRunLike",
    "Grouping",
    "MetricsLike",
    "Pipeline",
    "Task",
    "ViewLike",
    "cut_of",
    "metrics_pipelines",
    "pipelines",
    "tasks",
]

Grouping = Literal["schedule", "entity", "view"]

CUT_TEMPLATE: Final = "{{ cut(dag_run) }}"
"""Stands in `Task.argv` where the cut of the run goes; dags/build.py gives the template its `cut`."""

_SLOT = datetime(9999, 12, 31, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_PERIOD_NAMES = {_HOUR: "hourly", timedelta(days=1): "daily", timedelta(weeks=1): "weekly"}


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class ScheduleLike(Protocol):
    """Cuts are phase + n x period since the epoch, UTC; all in microseconds."""

    @property
    def period_us(self) -> int: ...
    @property
    def phase_us(self) -> int: ...
    @property
    def lag_us(self) -> int: ...


class ViewLike(Protocol):
    """What a DAG needs to know of a FeatureView."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def entity(self) -> _Named: ...  # noqa: D102
    @property
    def schedule(self) -> ScheduleLike: ...  # noqa: D102
    @property
    def sources(self) -> Sequence[_Named]: ...  # noqa: D102


class LabelLike(Protocol):
    """Where a label's events and their outcomes come from."""

    @property
    def event_source(self) -> _Named: ...
    @property
    def outcomes(self) -> _Named: ...


class MetricsLike(Protocol):
    """What a DAG needs to know of a RiskMetrics."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> LabelLike: ...  # noqa: D102


class CatalogLike(Protocol):
    """What a DAG needs to know of the definitions."""

    @property
    def views(self) -> Sequence[ViewLike]: ...  # noqa: D102


class DagRunLike(Protocol):
    """What tells a task its cut; Airflow's own DagRun has all of it."""

    @property
    def partition_key(self) -> str | None: ...  # noqa: D102
    @property
    def data_interval_end(self) -> datetime | None: ...  # noqa: D102
    @property
    def conf(self) -> dict[str, object] | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Views that share their cuts, and so one DAG and one Spark application per stage."""

    dag_id: str
    views: tuple[str, ...]
    sources: tuple[str, ...]
    period: timedelta
    phase: timedelta
    publish_lag: timedelta
    """The shortest of the views': by then the whole run should be through."""
    owner: str
    """Owners of the views, with commas, as Airflow shows them."""
    description: str
    tags: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    """Names of risk metrics; a pipeline has views or these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One process of a run."""

    name: str
    argv: tuple[str, ...]
    """The arguments after `asof`, with CUT_TEMPLATE for the cut."""
    after: tuple[str, ...] = ()
    """Names of tasks that must have succeeded."""
    retries: int = 3
    retry_delay: timedelta = timedelta(minutes=1)
    timeout: timedelta
    """Of one attempt."""
    spark: bool = True
    """Whether `spark-submit` runs it where the settings say so."""


def tasks(pipeline: Pipeline) -> tuple[Task, ...]:
    """The tasks of every run, in order; `held` fails, and reddens the run, exactly when a view was held: the rest goes on."""
    timeout = max(pipeline.period, _HOUR)
    # A source may be late by a period: the next cut would wait for this one anyway.
    patience = min(max(pipeline.period / 48, timedelta(minutes=1)), timedelta(minutes=30))

    def task(stage: type[Stage], after: tuple[str, ...], retries: int = 3, *, spark: bool = True) -> Task:
        delay = patience if stage is Ready else timedelta(minutes=1)
        return Task(
            name=stage.name,
            argv=_argv(stage, pipeline.views),
            after=after,
            retries=retries,
            retry_delay=delay,
            timeout=timeout,
            spark=spark,
        )

    if pipeline.metrics:
        argv = tuple(CUT_TEMPLATE if item == _SLOT.isoformat() else item for item in Metrics(cut=_SLOT).argv())
        return (Task(name=Metrics.name, argv=argv, retries=48, retry_delay=patience, timeout=timeout),)
    return (
        task(Ready, (), retries=48),
        task(Compute, ("ready",)),
        task(Validate, ("compute",)),
        task(Held, ("validate",), spark=False),
        task(Publish, ("validate",)),
        task(Materialize, ("publish",)),
        task(Prove, ("materialize",)),
    )


def pipelines(catalog: CatalogLike, grouping: Grouping = "schedule") -> tuple[Pipeline, ...]:
    """All pipelines of the definitions, in order of their DAG ids.

    Views never share a DAG unless they share period and phase. A DAG id depends on nothing but the views in it, so
    adding a view renames no other DAG.

    Raises:
        SettingsError: two groups would get the same DAG id.
    """
    groups: dict[tuple[str, int, int], list[ViewLike]] = {}
    for view in catalog.views:
        groups.setdefault((_stem(view, grouping), view.schedule.period_us, view.schedule.phase_us), []).append(view)
    found = sorted(
        (_pipeline(_dag_id(key, grouping), views) for key, views in groups.items()), key=lambda each: each.dag_id
    )
    for before, after in pairwise(found):
        if before.dag_id == after.dag_id:
            message = (
                f"Two DAGs would be called {after.dag_id!r}: of {', '.join(before.views)} and of "
                f"{', '.join(after.views)}. "
                f"Rename one, or set airflow.grouping to something else than {grouping!r}."
            )
            raise SettingsError(message)
    return tuple(found)


def metrics_pipelines(metrics: Sequence[MetricsLike]) -> tuple[Pipeline, ...]:
    """One that measures what is due, daily at midnight UTC; none where the definitions watch nothing.

    Its task waits for the sources by itself: it ends busy, and is tried again, until the day before the cut is there.
    """
    if not metrics:
        return ()
    names = _unique(item.name for item in metrics)
    return (
        Pipeline(
            dag_id="risk_metrics_daily",
            views=(),
            sources=_unique(
                source.name for item in metrics for source in (item.label.event_source, item.label.outcomes)
            ),
            period=timedelta(days=1),
            phase=timedelta(0),
            publish_lag=timedelta(0),
            owner=", ".join(_unique(item.owner for item in metrics if item.owner)) or "asof",
            description=f"Risk metrics of {', '.join(names)} into risk.metrics_daily",
            tags=("asof", "metrics"),
            metrics=names,
        ),
    )


def cut_of(dag_run: DagRunLike) -> str:
    """The cut of a run, as ISO 8601 in UTC. The only place that reads it.

    A scheduled, backfilled or API-made run has it as its partition key. A person's `cut` in the run's conf comes next: it
    is explicit, while the data interval of a manual run is only the moment of the click. Then the interval's end.

    Raises:
        InputError: none of them is there, or it is no instant with a zone.
    """
    conf = dag_run.conf or {}
    for where, value in (("partition key", dag_run.partition_key), ("conf's `cut`", conf.get("cut"))):
        if value:
            return _parse(str(value), where)
    if dag_run.data_interval_end is not None:
        return dag_run.data_interval_end.astimezone(UTC).isoformat()
    message = (
        "This run has no partition key, no `cut` in its conf and no data interval, so its cut is unknown. "
        'Trigger it with a partition key (2026-01-01T00:00:00Z) or with the conf {"cut": "2026-01-01T00:00:00Z"}.'
    )
    raise InputError(message)


def _parse(text: str, where: str) -> str:
    try:
        cut = datetime.fromisoformat(text)
        if cut.tzinfo is not None:
            return cut.astimezone(UTC).isoformat()
    except ValueError:
        pass
    message = f"The {where} of this run, {text!r}, is no instant with a zone. Write it as 2026-01-01T00:00:00Z."
    raise InputError(message)


def _argv(stage: type[Stage], views: tuple[str, ...]) -> tuple[str, ...]:
    slot = _SLOT.isoformat()
    return tuple(CUT_TEMPLATE if argument == slot else argument for argument in stage(cut=_SLOT, views=views).argv())


def _stem(view: ViewLike, grouping: Grouping) -> str:
    return {"schedule": "", "entity": view.entity.name, "view": view.name}[grouping]


def _dag_id(key: tuple[str, int, int], grouping: Grouping) -> str:
    stem, period_us, phase_us = key
    if grouping == "view":
        return f"features_{stem}"
    period, phase = timedelta(microseconds=period_us), timedelta(microseconds=phase_us)
    parts = [
        "features",
        stem,
        _PERIOD_NAMES.get(period) or f"every_{_short(period)}",
        f"at_{_short(phase)}" if phase else "",
    ]
    return "_".join(part for part in parts if part)


def _short(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _pipeline(dag_id: str, views: list[ViewLike]) -> Pipeline:
    first = views[0]
    entities = _unique(view.entity.name for view in views)
    title = first.description if len(views) == 1 else f"{len(views)} views of {', '.join(entities)}"
    return Pipeline(
        dag_id=dag_id,
        views=tuple(view.name for view in views),
        sources=_unique(source.name for view in views for source in view.sources),
        period=timedelta(microseconds=first.schedule.period_us),
        phase=timedelta(microseconds=first.schedule.phase_us),
        publish_lag=timedelta(microseconds=min(view.schedule.lag_us for view in views)),
        owner=", ".join(_unique(view.owner for view in views if view.owner)) or "asof",
        description=title,
        tags=("asof", *entities),
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
