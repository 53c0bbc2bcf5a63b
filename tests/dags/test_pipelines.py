"""Definitions to pipelines and tasks; the cut of a run."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dags.pipelines import CUT_TEMPLATE, cut_of, metrics_pipelines, pipelines, tasks
from features.definitions.catalog import load_catalog
from features.errors import InputError, SettingsError
from jobs.commands import Compute

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
CUT = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Named:
    name: str


@dataclass(frozen=True, kw_only=True)
class Every:
    period_us: int = _DAY_US
    phase_us: int = 0
    lag_us: int = _HOUR_US


@dataclass(frozen=True, kw_only=True)
class View:
    name: str
    entity: Named = Named(name="card")
    schedule: Every = Every()
    sources: tuple[Named, ...] = (Named(name="payments"),)
    owner: str = "risk"
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Definitions:
    views: tuple[View, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    partition_key: str | None = None
    data_interval_end: datetime | None = None
    conf: dict[str, object] | None = field(default=None)


DAILY = View(name="velocity")
MERCHANT = View(
    name="rates", entity=Named(name="merchant"), schedule=Every(lag_us=60), owner="", sources=(Named(name="disputes"),)
)
HOURLY = View(name="recent", schedule=Every(period_us=_HOUR_US))
AT_THREE = View(name="late", schedule=Every(phase_us=3 * _HOUR_US), owner="ops")
QUARTER = View(name="quick", schedule=Every(period_us=_HOUR_US // 4, phase_us=300_000_000))
ALL = Definitions(views=(DAILY, MERCHANT, HOURLY, AT_THREE, QUARTER))


def test_views_of_one_schedule_share_a_dag() -> None:
    found = {pipeline.dag_id: pipeline.views for pipeline in pipelines(ALL)}
    assert found == {
        "features_daily": ("velocity", "rates"),
        "features_daily_at_3h": ("late",),
        "features_every_15m_at_5m": ("quick",),
        "features_hourly": ("recent",),
    }


def test_by_entity_each_schedule_of_an_entity_has_a_dag() -> None:
    assert [pipeline.dag_id for pipeline in pipelines(ALL, "entity")] == [
        "features_card_daily",
        "features_card_daily_at_3h",
        "features_card_every_15m_at_5m",
        "features_card_hourly",
        "features_merchant_daily",
    ]


def test_by_view_each_view_has_a_dag() -> None:
    assert [p.dag_id for p in pipelines(ALL, "view")] == [
        f"features_{name}" for name in ("late", "quick", "rates", "recent", "velocity")
    ]


def test_a_pipeline_says_who_owns_it_what_it_reads_and_by_when_it_is_through() -> None:
    daily = pipelines(ALL)[0]
    assert (daily.owner, daily.sources, daily.tags) == ("risk", ("disputes", "payments"), ("asof", "card", "merchant"))
    assert (daily.period, daily.phase, daily.publish_lag) == (
        timedelta(days=1),
        timedelta(0),
        timedelta(microseconds=60),
    )
    assert daily.description == "2 views of card, merchant"
    assert pipelines(Definitions(views=(MERCHANT,)))[0].owner == "asof"


def test_two_dags_of_one_name_are_refused() -> None:
    clash = Definitions(
        views=(View(name="x", entity=Named(name="a")), View(name="x", schedule=Every(phase_us=_HOUR_US)))
    )
    with pytest.raises(
        SettingsError, match=r"Two DAGs would be called 'features_x': of x and of x. Rename one, or set"
    ):
        pipelines(clash, "view")


def test_the_definitions_of_this_project_have_each_view_in_exactly_one_dag() -> None:
    catalog = load_catalog()
    for grouping in ("schedule", "entity", "view"):
        views = [view for pipeline in pipelines(catalog, grouping) for view in pipeline.views]
        assert sorted(views) == sorted(view.name for view in catalog.views)


def test_a_run_has_seven_tasks_and_held_hangs_beside_the_way_to_the_store() -> None:
    after = {task.name: task.after for task in tasks(pipelines(ALL)[0])}
    assert after == {
        "ready": (),
        "compute": ("ready",),
        "validate": ("compute",),
        "held": ("validate",),
        "publish": ("validate",),
        "materialize": ("publish",),
        "prove": ("materialize",),
    }
    assert [task.name for task in tasks(pipelines(ALL)[0]) if not task.spark] == ["held"]


def test_a_task_is_the_command_with_the_cut_filled_in() -> None:
    compute = tasks(pipelines(ALL)[0])[1]
    argv = [
        argument.replace(CUT_TEMPLATE, cut_of(Run(partition_key="2026-01-02T00:00:00Z"))) for argument in compute.argv
    ]
    assert argv == Compute(cut=CUT, views=("velocity", "rates")).argv()


def test_every_task_of_every_run_takes_the_cut_once_and_names_its_views() -> None:
    for pipeline in pipelines(ALL):
        for task in tasks(pipeline):
            assert task.argv.count(CUT_TEMPLATE) == 1
            assert task.argv[0] == task.name
            assert set(pipeline.views) < set(task.argv)


def test_ready_waits_about_a_period_for_a_late_source() -> None:
    ready = tasks(pipelines(ALL)[0])[0]
    assert ready.retries * ready.retry_delay == timedelta(days=1)


@pytest.mark.parametrize(
    "run",
    [
        Run(
            partition_key="2026-01-02T00:00:00Z",
            data_interval_end=CUT + timedelta(days=9),
            conf={"cut": "2020-01-01T00:00:00Z"},
        ),
        Run(conf={"cut": "2026-01-02T01:00:00+01:00"}, data_interval_end=CUT + timedelta(days=9)),
        Run(data_interval_end=CUT.astimezone(timezone(timedelta(hours=5)))),
        Run(data_interval_end=CUT, conf={}),
    ],
)
def test_the_cut_is_the_partition_key_else_the_conf_else_the_end_of_the_data_interval(run: Run) -> None:
    assert cut_of(run) == "2026-01-02T00:00:00+00:00"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (Run(), r"no partition key, no `cut` in its conf and no data interval, .* Trigger it with a partition key"),
        (
            Run(partition_key="2026-01-02"),
            "The partition key of this run, '2026-01-02', is no instant with a zone. Write it as",
        ),
        (Run(conf={"cut": "soon"}), "The conf's `cut` of this run, 'soon', is no instant with a zone. Write it as"),
    ],
)
def test_a_run_without_a_cut_says_how_to_give_one(run: Run, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cut_of(run)


def test_risk_metrics_have_a_dag_of_their_own_and_none_where_nothing_is_watched() -> None:
    (found,) = metrics_pipelines(load_catalog().metrics)
    assert (found.dag_id, found.sources, found.owner) == (
        "risk_metrics_daily",
        ("disputes", "payments"),
        "fraud-models",
    )
    (task,) = tasks(found)
    assert (task.name, task.argv, task.retries, task.spark) == ("metrics", ("metrics", "--cut", CUT_TEMPLATE), 48, True)
    assert metrics_pipelines(()) == ()
