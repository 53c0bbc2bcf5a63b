"""`asof report` on a small home: the same numbers as without Spark, and what it says where something is missing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.report import events_of, frame_of
from features.definitions.catalog import load_catalog
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs.commands import Report
from jobs.ingest import ingest
from jobs.report.framing import known_days, plan_of, reported, run
from jobs.report.measure import measure
from jobs.report.truths import asked, with_truth
from jobs.report.writing import disputed, write
from jobs.simulate.simulation import simulate
from jobs.simulate.truth import attacks

FIRST, DAYS = datetime(2026, 1, 5, tzinfo=UTC), 30
CATALOGUE = "tests.jobs.catalogue_of_reports"
COMMAND = Report(
    truth="", start=FIRST + timedelta(days=3), held_back=FIRST + timedelta(days=20), end=FIRST + timedelta(days=DAYS), out="r.html", gap="3d", samples=3, honest=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("simulated") / "days"
    simulate(made, start=date(2026, 1, 5), days=DAYS, scale=0.02, seed=5)
    return made


@pytest.fixture(scope="module")
def home(
    spark: SparkSession, spark_settings: Settings, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("report"), "catalog": CATALOGUE})
    catalog = load_catalog(CATALOGUE)
    for name in ("payments", "disputes"):
        ingest(spark, settings, catalog.source(name), str(folder / name))
    yield settings
    spark.sql("DROP DATABASE IF EXISTS risk CASCADE")


@pytest.mark.long
def test_a_home_gives_the_numbers_that_the_same_functions_give_without_spark(
    spark: SparkSession, home: Settings, folder: Path, tmp_path: Path
) -> None:
    catalog, plan, truth = load_catalog(CATALOGUE), plan_of(COMMAND), attacks(folder)
    found = reported(spark, home, catalog, plan, truth, known_days(home, disputed(catalog)))
    events, unknown = with_truth(events_of(folder, disputed(catalog), plan.end), truth)
    frame = frame_of(folder, asked(plan, events), list(catalog.views))
    services = {
        service.name: [f"{view.name}__{name}" for view, names in catalog.views_of(service) for name in names]
        for service in catalog.services
    }
    services = {name: services[name] for name in ("radar_v1", "identity_v1", "fraud_v1")}
    assert found == measure(frame, events, services, plan) | {"unknown": unknown}
    assert found["kinds"]["card_testing"]["why"] is None  # type: ignore[index]
    assert not list((home.home / "frames").iterdir())
    write(str(tmp_path / "r.html"), found)
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(json.dumps(found))
    assert "card testing" in (tmp_path / "r.html").read_text()


@pytest.mark.long
def test_a_truth_of_another_simulation_is_refused_and_leaves_nothing(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    simulate(tmp_path / "other", start=date(2026, 1, 5), days=3, scale=0.02, seed=6)
    catalog = load_catalog(CATALOGUE)
    with pytest.raises(InputError, match=r"attack payments of .* that this home does not have"):
        reported(
            spark, home, catalog, plan_of(COMMAND), attacks(tmp_path / "other"), known_days(home, disputed(catalog))
        )
    assert not list((home.home / "frames").iterdir())


def test_what_is_missing_is_said_before_spark_starts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, catalog=CATALOGUE)
    with pytest.raises(MissingError, match=r"Run `asof simulate` first"):
        run(replace(COMMAND, truth=str(tmp_path / "none")), settings)
    with pytest.raises(InputError, match=r"--gap soon: "):
        run(replace(COMMAND, gap="soon"), settings)
    simulate(tmp_path / "few", start=date(2026, 1, 5), days=1, scale=0.005, seed=6)
    with pytest.raises(InputError, match=r"No payments are ingested in this home\. Run `asof ingest`"):
        run(replace(COMMAND, truth=str(tmp_path / "few")), settings)
