"""Request fields from label files and entity frames: every way a frame takes gives the oracle's values, and what does not fit is said."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from pyspark.sql import SparkSession

from features import load_catalog
from features.errors import InputError, MissingError
from features.feast.registry import apply
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from jobs.commands import Why
from jobs.frame import frame
from jobs.ingest import ingest
from jobs.why import explained, question
from tests import oracle
from tests.jobs import hostile_days as days
from tests.jobs.test_states import DAY, FIRST, HOUR, NAME, Rows, limits, sales
from tests.properties.agreement import same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
CATALOG = load_catalog(NAME)
VIEWS = tuple(view for view, _ in CATALOG.views_of(CATALOG.service("stated_checkout")))
SALES: Rows = [*sales(FIRST), *sales(FIRST + DAY), *sales(FIRST + 2 * DAY)]
ASKS: list[dict[str, Any]] = [
    # Each a sale asked about as it happens, or an hour later; some twice, one without an id, one without a key.
    *({"card": row["card"], "id": row["id"], "shop": row["shop"], "amount": row["amount"], "at": row["event_time"] + n % 3 // 2 * HOUR}
      for n, row in enumerate(SALES[:: 7])),
    {"card": "c1", "id": "new", "shop": "s1", "amount": 7, "at": FIRST + 30 * HOUR},
    {"card": "c1", "id": "new", "shop": "elsewhere", "amount": 70, "at": FIRST + 30 * HOUR},
    {"card": "c1", "id": None, "shop": None, "amount": None, "at": FIRST + 30 * HOUR},
    {"card": None, "id": "x", "shop": "s1", "amount": 1, "at": FIRST + 30 * HOUR},
    {"card": "never seen", "id": "y", "shop": "s1", "amount": 1, "at": FIRST + 30 * HOUR},
]  # fmt: skip


def labels(rows: list[dict[str, Any]] = ASKS) -> pa.Table:
    columns = {
        name: pa.array([row[name] for row in rows], pa.int64() if name == "amount" else pa.string())
        for name in ("card", "id", "shop", "amount")
    }
    instants = pa.array([row["at"] for row in rows], pa.int64()).cast(ARROW_TYPES["timestamp"])
    return pa.table({**columns, "event_timestamp": instants})


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("requests"), "catalog": NAME})
    landing = tmp_path_factory.mktemp("landing")
    for n in range(3):
        cut = FIRST + n * DAY
        for name, rows in (("stated_sales", sales(cut)), ("stated_limits", limits(cut))):
            days.write(rows, CATALOG.source(name), landing / name / f"day-{n}.parquet")
    for source in CATALOG.sources:
        ingest(spark, settings, source, str(landing / source.name))
    apply(CATALOG, settings)
    return settings


def made(
    spark: SparkSession, home: Settings, folder: Path, table: pa.Table | None = None, name: str = "labels.parquet"
) -> pa.Table:
    pq.write_table(labels() if table is None else table, folder / name)
    out = folder / "frame.parquet"
    frame(spark, home, CATALOG, labels=str(folder / name), service="stated_checkout", out=str(out))
    return pq.read_table(out)


def test_frames_are_the_oracles_whichever_way_they_take(
    spark: SparkSession, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(spark, home, tmp_path)
    many = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": 0})})
    assert made(spark, many, tmp_path).equals(found), "by Spark's rows"
    monkeypatch.setattr("jobs.frame._FEW", 0)
    assert made(spark, many, tmp_path).equals(found), "by the exchange of files"
    assert found.num_rows == len(ASKS)
    checked = 0
    for ask, row in zip(ASKS, found.to_pylist(), strict=True):
        for view in VIEWS:
            if ask["card"] is None:
                assert row[f"{view.name}__asof_status"] == "no_key"
                continue
            meant = oracle.answer(view, {"stated_sales": SALES}, (ask["card"],), ask["at"], ask)
            assert row[f"{view.name}__asof_status"] == meant.status, (view.name, ask)
            for name, value in dict(meant.values).items():
                assert same(view.types[name], row[f"{view.name}__{name}"], value), (view.name, name, ask)
                checked += 1
    assert checked > 2000


def test_feast_gives_the_same_of_a_persons_frame(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    expected = made(spark, home, tmp_path)
    store = FeatureStore(repo_path=str(home.feast))
    asked: Any = labels().to_pandas()
    assert isinstance(asked, pd.DataFrame)
    refs: list[str] = [f"{view.name}:{name}" for view in VIEWS for name in view.types]
    found = store.get_historical_features(asked, refs, full_feature_names=True).to_arrow()
    rows: Any = spark.createDataFrame(labels())
    stored = store.get_historical_features(rows, refs, full_feature_names=True).to_arrow()
    for name in (f"{view.name}__{name}" for view in VIEWS for name in view.types):
        assert found[name].to_pylist() == expected[name].to_pylist(), name
    order = ["card", "event_timestamp", "id", "shop"]
    assert sorted(map(repr, stored.select([*order, "stated_asked__sum_amount_7d"]).to_pylist())) == sorted(
        map(repr, found.select([*order, "stated_asked__sum_amount_7d"]).to_pylist())
    )
    with pytest.raises(
        MissingError,
        match=r"The entity frame has no column amount, a request field of stated_asked, stated_beside\. It needs id, shop, amount\.",
    ):
        store.get_historical_features(asked.drop(columns="amount"), refs, full_feature_names=True).to_arrow()
    with pytest.raises(
        InputError,
        match=r"The entity frame: request field amount is string, its source has int64\. Write the column as int64\.",
    ):
        store.get_historical_features(asked.assign(amount="7"), refs, full_feature_names=True).to_arrow()


def test_a_file_that_lacks_a_field_or_has_it_in_another_type_is_refused(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    with pytest.raises(
        MissingError,
        match=r"has no column amount\. It needs card, id, shop, amount, event_timestamp, and has card, id, shop, event_timestamp",
    ):
        made(spark, home, tmp_path, labels().drop_columns(["amount"]))
    texts = labels().set_column(3, "amount", labels()["amount"].cast(pa.string()))
    with pytest.raises(
        InputError,
        match=r"labels\.parquet: request field amount is string, its source has int64\. Write the column as int64\.",
    ):
        made(spark, home, tmp_path, texts)


def test_fields_of_a_csv_file_are_read_in_their_types(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    rows = ["card,id,shop,amount,event_timestamp", "c1,new,007,12,2026-03-02T06:00:00Z", "c1,,,,2026-03-02T06:00:00Z"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "frame.parquet"
    frame(spark, home, CATALOG, labels=str(tmp_path / "labels.csv"), service="stated_checkout", out=str(out))
    found = pq.read_table(out).to_pylist()
    names = ("shop", "amount", "stated_asked__requested_amount", "stated_asked__last_shop_7d")
    assert [found[0][name] for name in names] == ["007", 12, 12, "007"]
    assert found[1]["stated_asked__requested_amount"] is None


def test_why_lists_the_ask_among_the_rows(spark: SparkSession, home: Settings) -> None:
    keys = (("card", "c1"), ("id", "new"), ("shop", "s9"), ("amount", "12"))
    settings = home.model_copy(update={"clock": None})
    asked = question(
        settings,
        CATALOG,
        Why(
            feature="stated_checkout.stated_asked__sum_amount_7d",
            keys=keys,
            at=pd.Timestamp(FIRST + 30 * HOUR, unit="us", tz="UTC").to_pydatetime(),
        ),
    )
    found = explained(spark, settings, asked)
    counted = [row for row in found["rows"] if row["why"] == "counts"]
    assert counted[0] == {
        "feature": "sum_amount_7d",
        "source": "stated_sales",
        "event_time": found["at"],
        "counts_from": found["at"],
        "id": "new",
        "amount": 12,
        "why": "counts",
    }
    assert found["value"] == sum(row["amount"] for row in counted)
