"""What a proof finds: values that changed, keys that were lost after they were computed, and keys that were lost before."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.errors import ParityError
from features.serving.reader import Reader, Result
from features.settings import Settings
from jobs import attempts, tables
from jobs.compute import compute
from jobs.files import write_record
from jobs.ingest import ingest
from jobs.materialize import load_view
from jobs.prove import prove
from jobs.publish import publish
from tests.jobs import hostile_days as days
from tests.jobs.catalogue_of_proofs import HABITS, SALES

pytestmark = pytest.mark.slow
CATALOG = "tests.jobs.catalogue_of_proofs"
CUT = micros(datetime(2026, 3, 2, tzinfo=UTC))
CARDS = 12
ALONE, ALONE_SEEN = 11, 6
"""Every second key is asked for alone too; so many of them were seen."""


@pytest.fixture(scope="module")
def computed(
    spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, attempts.Attempt]:
    folder = tmp_path_factory.mktemp("proved")
    settings = spark_settings.model_copy(update={"catalog": CATALOG, "home": folder / "home"})
    known = CUT - days.DAY // 2
    rows = [
        {"id": f"p{n}", "card": f"c{n}", "amount": n + 1, "event_time": known, "known": known} for n in range(CARDS)
    ]
    days.write(rows, SALES, folder / "ds=2026-03-01" / "part-0.parquet")
    ingest(spark, settings, SALES, str(folder), only=date(2026, 3, 1))
    (attempt,) = compute(spark, settings, (HABITS,), [CUT])
    return settings, attempt


def changed(attempt: attempts.Attempt, change: Callable[[pa.Table], pa.Table], *, count: bool) -> attempts.Attempt:
    """The attempt once more, with other rows; `count`: its record says so too."""
    made = attempts.Attempt(
        view=attempt.view, cut=attempt.cut, definition=attempt.definition, run="changed", location=f"{attempt.location}-{count}",
    )  # fmt: skip
    shutil.rmtree(made.location, ignore_errors=True)
    rows = change(pq.read_table(attempt.location))
    record = attempt.record("finished") or {}
    Path(made.location).mkdir()
    pq.write_table(rows, f"{made.location}/part-0.parquet")
    write_record(f"{made.location}/_finished.json", {**record, "rows": len(rows) if count else record["rows"]})
    return made


def served(spark: SparkSession, settings: Settings, attempt: attempts.Attempt) -> Settings:
    """Published and online, in a new store."""
    publish(spark, settings, HABITS, attempt)
    clock = datetime.fromtimestamp((CUT + 2 * days.DAY) / 1e6, UTC)
    mine = settings.model_copy(update={"clock": clock})
    for file in Path(mine.online_db).parent.glob(f"{Path(mine.online_db).name}*"):
        file.unlink()
    load_view(mine, HABITS, CUT, lambda cut: tables.published(spark, HABITS, cut), lambda: (CUT,))
    return mine


def test_equal_values_are_proven(spark: SparkSession, computed: tuple[Settings, attempts.Attempt]) -> None:
    settings = served(spark, *computed)
    found = prove(spark, settings, load_catalog(CATALOG), (HABITS,), CUT)
    assert (found.different, found.examples) == (0, ())
    assert found.keys == CARDS + 10, "all keys and ten that nobody saw"
    assert found.compared == (found.keys + ALONE) * 4 * 2
    assert found.informative == (CARDS + ALONE_SEEN) * 4 * 2


def test_what_only_lookups_of_one_key_get_wrong_is_found(
    spark: SparkSession, computed: tuple[Settings, attempts.Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go ways of their own, and are what a checkout asks for."""
    settings, lookup = served(spark, *computed), Reader.lookup

    def wrong(reader: Reader, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        found = lookup(reader, service, keys, at)
        (view,) = found.views
        return replace(found, views=(view._replace(values={name: [7] for name in view.values}),)) if len(keys) == 1 else found  # fmt: skip

    monkeypatch.setattr(Reader, "lookup", wrong)
    found = prove(spark, settings, load_catalog(CATALOG), (HABITS,), CUT)
    assert found.different == ALONE * 4 * 2


@pytest.mark.parametrize(("change", "count", "meant"), [
    pytest.param(lambda rows: rows.set_column(rows.schema.get_field_index("count_7d"), "count_7d", pc.add(rows["count_7d"], 1)), True,
                 "proved_habits.count_7d card=c", id="another value"),
    pytest.param(lambda rows: rows.slice(1), False, "proved_habits: 12 keys computed, 11 keys published, 11 keys online", id="a key lost after it was computed"),
    pytest.param(lambda rows: rows.slice(1), True, "status never_seen online, ok in the frame", id="a key lost before it was counted"),
])  # fmt: skip
def test_what_differs_is_found(
    spark: SparkSession,
    computed: tuple[Settings, attempts.Attempt],
    change: Callable[[pa.Table], pa.Table],
    count: bool,  # noqa: FBT001 - a parameter of the test
    meant: str,
) -> None:
    settings, attempt = computed
    mine = served(spark, settings, changed(attempt, change, count=count))
    found = prove(spark, mine, load_catalog(CATALOG), (HABITS,), CUT)
    assert found.different > 0
    assert any(meant in line for line in found.examples), found.examples


def test_a_difference_is_an_error_that_says_what_to_do(
    spark: SparkSession, computed: tuple[Settings, attempts.Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import prove as module
    from jobs.commands import Prove

    settings, attempt = computed
    mine = served(spark, settings, changed(attempt, lambda rows: rows.slice(2), count=True))
    monkeypatch.setattr(module, "session", lambda *_: spark)  # the run's one session, started with other settings
    with pytest.raises(ParityError, match=r"difference\(s\) in 528 values between lookup and frame") as caught:
        module.run(Prove(cut=datetime.fromtimestamp(CUT / 1e6, UTC)), mine)
    assert "Do not serve these views" in str(caught.value)
    served(spark, settings, attempt)
    module.run(
        Prove(cut=datetime.fromtimestamp(CUT / 1e6, UTC)),
        mine.model_copy(update={"clock": mine.now() + timedelta(hours=1)}),
    )
    told = spark.table("asof.proofs").orderBy("proven_at").collect()
    assert [(row["views"], row["compared"], row["different"] > 0) for row in told] == [
        (["proved_habits"], 528, True),
        (["proved_habits"], 528, False),
    ]
    assert any("proved_habits" in line for line in told[0]["examples"])
