"""The model team's path as docs/ tells it: simulated days, a frame, a model, its page, and the same scores from lookups; and what must end it."""

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import micros, view_table
from features.definitions.views import FeatureView
from features.settings import OnlineSettings, Settings
from jobs import ledger, tables
from jobs.compute import compute
from jobs.frame import views_for
from jobs.ingest import ingest
from jobs.materialize import load_view
from jobs.publish import publish
from jobs.simulate.simulation import simulate

CATALOGUE = "tests.docs.catalogue_of_path"
FIRST, DAYS = date(2026, 1, 5), 19
CUT = micros(datetime(2026, 1, 19, tzinfo=UTC))
"""Of the loaded values: the test's last payments are asked after it, at their own instants."""


@pytest.fixture(scope="module")
def path() -> Iterator[Any]:
    """The script as a module; it imports its report as scripts do, from its own folder."""
    folder = str(Path(__file__).resolve().parents[2] / "docs")
    sys.path.insert(0, folder)
    try:
        vars(importlib.import_module("model_report"))["REPEATS"] = 1  # a hundred and fifty columns, shuffled once each
        yield importlib.import_module("model_path")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOGUE)


@pytest.fixture(scope="module")
def home(
    spark: SparkSession, spark_settings: Settings, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Simulated days, ingested; one cut of radar_v1, loaded."""
    settings = spark_settings.model_copy(
        update={
            "home": tmp_path_factory.mktemp("model"),
            "catalog": CATALOGUE,
            "clock": datetime(2026, 1, 24, tzinfo=UTC),
        }
    )
    landing = tmp_path_factory.mktemp("landing") / "days"
    simulate(landing, start=FIRST, days=DAYS, scale=0.06, seed=3)
    names = ("payments", "disputes", "accounts", "devices", "merchants")
    for name in names:
        ingest(spark, settings, catalog.source(name), str(landing / name))
    views = {view.name: view for view in views_for(catalog, "radar_v1")}
    for attempt in compute(spark, settings, tuple(views.values()), [CUT]):
        view = views[attempt.view]
        publish(spark, settings, view, attempt)
        load_view(settings, view, CUT, partial(tables.published, spark, view), lambda: (CUT,))
    yield settings
    for view in views.values():
        spark.sql(f"DROP TABLE IF EXISTS {view_table(view)}")
    spark.sql("DROP DATABASE IF EXISTS risk CASCADE")


@pytest.fixture(scope="module")
def walked(
    path: Any, spark: SparkSession, home: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    out = tmp_path_factory.mktemp("walked")
    return path.walk(spark, home, out, path.days_of(home, None, 3, 1), 200), out


def test_the_path_ends_with_equal_scores(walked: tuple[int, Path], path: Any, home: Settings) -> None:
    code, out = walked
    assert code == 0
    rows = pq.read_table(out / "frame.parquet")
    days = path.days_of(home, None, 3, 1)
    assert [days.train_end, days.test, days.end] == [
        datetime(2026, *day, tzinfo=UTC) for day in ((1, 13), (1, 17), (1, 20))
    ]
    assert set(rows["asof_split"].to_pylist()) == {"train", "embargo", "test"}
    assert pc.all(rows["label_mature"]).as_py()
    assert (out / "frame.parquet.manifest.json").exists()


def test_the_page_judges_and_explains(walked: tuple[int, Path]) -> None:
    page = (walked[1] / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    for words in ("average precision", "Learned from", "Why the highest score is high", "merchant_risk__"):
        assert words in page


def test_sequences_are_lines_of_the_frame(walked: tuple[int, Path]) -> None:
    found = np.load(walked[1] / "sequences.npz")
    rows = pq.read_table(walked[1] / "frame.parquet")
    assert found["amount_minor"].shape == found["times"].shape == found["mask"].shape == (len(rows), 8)
    newest = rows["card_sequence__last_1_amount_minor_30d"].to_pylist()
    assert [
        value if there else None
        for value, there in zip(found["amount_minor"][:, -1].tolist(), found["mask"][:, -1], strict=True)
    ] == newest
    asked = np.asarray(rows["event_timestamp"].cast(pa.int64()))
    assert (found["times"][found["mask"]] < np.repeat(asked, found["mask"].sum(axis=1))).all()
    assert (np.diff(found["times"], axis=1) >= 0).all()


@pytest.fixture(scope="module")
def model(walked: tuple[int, Path], path: Any, catalog: Catalog) -> tuple[Any, pa.Table, Catalog]:
    """Trained once more, with the rows that it is tested on."""
    rows = pq.read_table(walked[1] / "frame.parquet")
    train, test = (rows.filter(pc.equal(rows["asof_split"], part)) for part in ("train", "test"))
    ours = path.with_ours(catalog)
    with threadpool_limits(1):  # tests share the cores
        return path.trained(train, path.model_columns(ours)), test, ours


@pytest.mark.long
def test_rows_of_another_time_are_asked_anew(
    path: Any,
    spark: SparkSession,
    home: Settings,
    model: tuple[Any, pa.Table, Catalog],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trees, test, ours = model
    assert path.compared(spark, home, ours, trees, test.slice(0, 60), 40, tmp_path) == 0
    assert capsys.readouterr().out == (
        "40 payments asked at 2026-01-19T01:00:00+00:00, when what is loaded became valid: 0 scores from lookups differ from the frame's.\n"
    )


def test_another_value_in_the_store_is_another_score(
    path: Any,
    spark: SparkSession,
    home: Settings,
    model: tuple[Any, pa.Table, Catalog],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trees, test, ours = model
    spoiled = home.model_copy(update={"online": OnlineSettings(path=tmp_path / "spoiled.db")})

    def more(view: FeatureView, cut: int) -> DataFrame:
        rows = tables.published(spark, view, cut)
        counts = [name for name, kind in rows.dtypes if kind == "bigint"]
        return rows.withColumns({name: F.col(name) + 1_000 for name in counts})

    for view in views_for(ours, "radar_v1"):
        load_view(spoiled, view, CUT, partial(more, view), lambda: (CUT,))
    different = path.compared(spark, spoiled, ours, trees, test, 100, tmp_path)
    assert different > 0
    said = capsys.readouterr()
    assert (
        f"100 payments asked at their own instants: {different} scores from lookups differ from the frame's."
        in said.out
    )
    assert "differs in card_velocity__" in said.err


def test_a_home_without_payments_or_with_few_days_is_said_so(
    path: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASOF_HOME", str(settings.home))
    monkeypatch.setenv("ASOF_METASTORE__KIND", "embedded")
    assert path.main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "No payments are ingested in this home. Run `asof demo`, or the steps of README.md, and set ASOF_HOME.\n"
    )
    for day in range(1, 23):
        ledger.record_ingest(settings, ledger.Partition(source="payments", ds=f"2026-02-{day:02d}", rows=1))
    assert path.main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "The payments from 2026-02-01 on are too few days before 2026-02-23: 7 for windows, some to learn from, 4d to wait, 7 to be tested on "
        "and 4d until labels are known. Ingest more days.\n"
    )
