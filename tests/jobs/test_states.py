"""From Hive to lookups: states are computed, published, loaded and proven equal to frames, before and after pushes."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import STATE, cut_text, micros, utc, view_table
from features.errors import InputError
from features.feast.registry import apply
from features.serving.push import push
from features.serving.reader import Reader
from features.settings import OnlineSettings, Settings
from features.store.redis_store import RedisStore
from features.store.stores import open_store
from jobs import audits, materialize, rollback, tables
from jobs import push as push_job
from jobs.backfill import plan
from jobs.commands import Materialize, Push, Rollback, Through
from jobs.compute import compute
from jobs.doors import opened
from jobs.ingest import ingest
from jobs.prove import prove
from jobs.publish import publish
from jobs.validate import validate
from tests.jobs import hostile_days as days

pytestmark = pytest.mark.slow
NAME = "tests.jobs.catalogue_of_states"
CATALOG = load_catalog(NAME)
SOURCES = {source.name: source for source in CATALOG.sources}
VIEWS = tuple(view for view in CATALOG.views if view.tabled)
FIRST = micros(datetime(2026, 3, 2, tzinfo=UTC))
HOUR, DAY = 3_600_000_000, 86_400_000_000
CARDS = 40
Rows = list[dict[str, Any]]


def sales(cut: int) -> Rows:
    """What became known on the day that ends at a cut: some late, some corrected, some taken back."""
    made: Rows = []
    for n in range(CARDS * 5):
        happened = cut - DAY + (n * 7_919_000_003) % DAY
        row: dict[str, Any] = {
            "id": f"{cut_text(cut)}-{n}", "card": f"c{n % CARDS}", "shop": f"s{n % 7}", "amount": n % 90 - 5, "ver": 0, "gone": False,
            "event_time": happened, "known": min(happened + (3 * HOUR if n % 11 == 0 else n % 5 * 1_000_000), cut - 1),
        }  # fmt: skip
        made.append(row)
        if n % 13 == 0 and row["known"] < cut - HOUR:
            made.append({**row, "ver": 1, "amount": 1000, "gone": n % 2 == 0, "known": row["known"] + HOUR // 2})
    return made


def limits(cut: int) -> Rows:
    return [
        {"card": f"c{n}", "most": cut // DAY + n, "event_time": cut - DAY + n * HOUR, "known": cut - HOUR}
        for n in range(20)
    ]


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def home(
    request: pytest.FixtureRequest, spark: SparkSession, spark_settings: Settings, tmp_path: Path
) -> Iterator[Settings]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    online = OnlineSettings(kind=request.param, url=url)
    update = {"catalog": NAME, "clock": utc(FIRST + 20 * DAY), "online": online, "home": tmp_path / "home"}
    settings = spark_settings.model_copy(update=update)
    apply(CATALOG, settings)
    yield settings
    for view in CATALOG.views:
        spark.sql(f"DROP TABLE IF EXISTS {view_table(view)}")
    for source in CATALOG.sources:
        spark.sql(f"DROP TABLE IF EXISTS {source.table}")
        shutil.rmtree(f"{settings.tables_root}/stated.db/{source.table.split('.')[1]}", ignore_errors=True)
    if url is not None:
        store = RedisStore(url)
        store.client.flushdb()
        store.close()


def bring(spark: SparkSession, settings: Settings, folder: Path, cut: int) -> None:
    """Ingests the day that ends at a cut."""
    day = utc(cut - DAY).date()
    for name, rows in (("stated_sales", sales(cut)), ("stated_limits", limits(cut))):
        days.write(rows, SOURCES[name], folder / name / f"ds={day}" / "part-0.parquet")
        ingest(spark, settings, SOURCES[name], str(folder / name), only=day)


def run_cut(spark: SparkSession, settings: Settings, cut: int) -> None:
    """All stages of a cut."""
    show(spark, settings, cut)
    assert materialize.run(Materialize(cut=utc(cut)), settings) == 0


def show(spark: SparkSession, settings: Settings, cut: int) -> None:
    """Computes, validates and publishes."""
    made = compute(spark, settings, VIEWS, [cut])
    reports = validate(settings, spark, VIEWS, audits.sources_of(CATALOG, VIEWS), cut)
    assert [report.sentence() for report in reports if report.verdict == "hold"] == []
    for attempt in made:
        publish(spark, settings, CATALOG.view(attempt.view), attempt)


def test_states_are_proven_equal_to_frames(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    for cut in (FIRST, FIRST + DAY):
        bring(spark, home, tmp_path / "raw", cut)
        run_cut(spark, home, cut)
    cut = FIRST + DAY
    apply(CATALOG, home)
    alone = prove(spark, home, CATALOG, VIEWS, cut)
    with opened(tuple(Through), home, CATALOG) as doors:
        assert set(doors) == set(Through)
        silent = prove(spark, home, CATALOG, VIEWS, cut, doors=doors)
    assert silent.examples == ()
    assert silent.compared > 1.2 * alone.compared, "the service and Feast were asked as well"
    assert silent.compared > 10_000
    # What happens the day after is pushed as it becomes known, then ingested: lookups and frames still agree.
    rows = sales(cut + DAY)
    for part in (rows[::2], rows[1::2], rows[:50]):
        done = push(home, CATALOG, "stated_sales", [_texts(row) for row in part])
        assert not done.refused
    bring(spark, home, tmp_path / "raw", cut + DAY)
    following = CATALOG.view("stated_live"), CATALOG.view("stated_asked")
    with opened(tuple(Through), home, CATALOG) as doors:
        found = prove(spark, home, CATALOG, following, cut, doors=doors)
    assert (found.different, found.examples) == (0, ())
    assert found.compared > 5000
    assert found.informative > found.compared / 4
    with Reader(home, CATALOG) as reader:
        at = cut + 9 * HOUR
        (row,) = reader.lookup("stated", [{"card": "c1"}], at).rows
        statuses = {view.view: view.status for view in row.views}
    assert statuses == {"stated_live": "ok", "stated_sliding": "ok", "stated_allowed": "ok", "stated_habits": "ok"}


def test_a_state_that_is_wrong_is_found(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    bring(spark, home, tmp_path / "raw", FIRST)
    run_cut(spark, home, FIRST)
    rows = [
        _texts({**row, "known": FIRST + HOUR, "event_time": FIRST + HOUR - 1, "id": f"new {row['id']}"})
        for row in sales(FIRST)[:CARDS]
    ]
    push(home, CATALOG, "stated_sales", rows, watermark=FIRST + 30 * HOUR)
    bring(spark, home, tmp_path / "raw", FIRST + DAY)  # Hive never hears of these
    found = prove(spark, home, CATALOG, (CATALOG.view("stated_live"),), FIRST)
    assert found.different > 0


def test_the_published_table_holds_a_state_a_key(spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    bring(spark, home, tmp_path / "raw", FIRST)
    show(spark, home, FIRST)
    found = tables.published(spark, CATALOG.view("stated_live"), FIRST)
    assert dict(found.dtypes)[STATE] == "binary"
    assert found.count() == CARDS
    assert found.where(f"{STATE} is null").count() == 0


def test_several_cuts_at_once_give_the_states_of_each_alone(
    spark: SparkSession, home: Settings, tmp_path: Path
) -> None:
    for cut in (FIRST, FIRST + DAY, FIRST + 2 * DAY):
        bring(spark, home, tmp_path / "raw", cut)
    cuts = [FIRST, FIRST + DAY, FIRST + 2 * DAY]
    together = {(one.view, one.cut): _rows(one.location) for one in compute(spark, home, VIEWS, cuts)}
    for cut in cuts:
        for one in compute(spark, home, VIEWS, [cut]):
            assert _rows(one.location) == together[one.view, cut], (one.view, cut)


def test_a_generation_is_rolled_back_and_loaded_again(
    spark: SparkSession, home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cut in (FIRST, FIRST + DAY, FIRST + 2 * DAY):
        bring(spark, home, tmp_path / "raw", cut)
        run_cut(spark, home, cut)
    capsys.readouterr()
    assert rollback.run(Rollback(view="stated_sliding"), home) == 0
    assert capsys.readouterr().out == (
        "stated_sliding: cut 2026-03-04T00-00Z is taken back; lookups give cut 2026-03-03T00-00Z again, valid from "
        "2026-03-03T01:00:00+00:00 on. `asof materialize` loads a cut anew.\n"
    )
    with pytest.raises(InputError, match="before the current one, so there is nothing to return to"):
        rollback.run(Rollback(view="stated_sliding"), home)
    with pytest.raises(InputError, match="The online store keeps one cut of view 'stated_habits'"):
        rollback.run(Rollback(view="stated_habits"), home)
    assert materialize.run(Materialize(cut=utc(FIRST + 2 * DAY), views=("stated_sliding",)), home) == 0
    assert f"{CARDS} keys written" in capsys.readouterr().out
    store = open_store(home, writable=False)
    assert [(head.generation, head.cut) for head in store.generations("stated_sliding")] == [
        (2, FIRST + DAY),
        (4, FIRST + 2 * DAY),
    ]
    store.close()


def test_events_of_a_file_are_pushed(home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days.write(sales(FIRST), SOURCES["stated_sales"], tmp_path / "events.parquet")
    assert push_job.run(Push(source="stated_sales", input=str(tmp_path / "events.parquet")), home) == 0
    assert push_job.run(Push(source="stated_sales", input=str(tmp_path / "events.parquet")), home) == 0
    assert push_job.run(Push(source="stated_sales", watermark=utc(FIRST)), home) == 0
    (tmp_path / "bad.jsonl").write_text(
        '{"id": "a", "card": "c", "shop": "s", "amount": 1, "ver": 0, "gone": false, "event_time": "soon", "known": "2026-03-01T00:00:00Z"}\n'
    )
    assert push_job.run(Push(source="stated_sales", input=str(tmp_path / "bad.jsonl")), home) == 2
    said = capsys.readouterr().out.splitlines()
    distinct = len({row["id"] for row in sales(FIRST)})
    assert (
        said[0]
        == f"stated_sales: {distinct} events are new, {len(sales(FIRST)) - distinct} were known before, 0 do not fit."
    )
    assert said[1] == f"stated_sales: 0 events are new, {len(sales(FIRST))} were known before, 0 do not fit."
    assert said[2] == "stated_sales: 0 events are new, 0 were known before, 0 do not fit."
    assert said[3] == "stated_sales: 0 events are new, 0 were known before, 1 do not fit."
    assert said[4].startswith("  row 1: event_time: ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.parquet", None, "There is no file {path} to push. Give a Parquet, CSV or JSON-lines file."),
        ("rows.txt", "", "The file {path} ends in .txt. Push a .parquet, .csv or .jsonl file."),
        ("rows.parquet", "no", "The file {path} cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_pushed_is_said(
    home: Settings, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as error:
        push_job.run(Push(source="stated_sales", input=str(path)), home)
    assert str(error.value).startswith(message.format(path=path))


def test_backfill_takes_views_with_states() -> None:
    (made,) = plan(CATALOG, ["stated_live"], FIRST, FIRST + 2 * DAY)
    assert made.cuts == (FIRST, FIRST + DAY)


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        **{
            name: (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row[name])).isoformat()
            for name in ("event_time", "known")
        },
    }


def _rows(location: str) -> list[dict[str, Any]]:
    rows: Rows = pq.read_table(location).to_pylist()
    return sorted(rows, key=lambda row: row["card"])
