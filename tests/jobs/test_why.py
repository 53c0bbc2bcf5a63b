"""`asof why`: the rows behind a value through real Spark and Hive, and what the store says of the same."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import why
from jobs.commands import Why
from tests.jobs.audited_days import store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
CATALOG = "tests.jobs.catalogue_of_why"
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(3)]


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def sale(
    event: str, when: datetime, amount: int | None, *, known: datetime | None = None, undoes: datetime | None = None
) -> tuple[Any, ...]:
    """As ingest stores it: an addition, or what takes back the one known at `undoes`."""
    seen = known or when
    op = "retract" if undoes else "add"
    return (event, "s", amount, when, undoes or seen, str(seen.date()), op, seen, undoes, undoes is None)


@pytest.fixture(scope="module")
def home(
    spark: "SparkSession", spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    settings = spark_settings.model_copy(
        update={
            "catalog": CATALOG,
            "home": tmp_path_factory.mktemp("why"),
            "clock": datetime(2026, 3, 5, 7, tzinfo=UTC),
        }
    )
    spark.sql("create database if not exists audits")
    store(spark, settings, "sales", {
        DAYS[0]: [sale("a", at(2), 10), sale("b", at(2, 13), 90)],
        DAYS[1]: [sale("c", at(3), 20), sale("b", at(2, 13), 90, known=at(3), undoes=at(2, 13)), sale("b", at(2, 13), 40, known=at(3))],
        DAYS[2]: [sale("d", at(3, 9), 7, known=at(4, 1)), sale("e", at(4), None)],
    })  # fmt: skip
    yield settings
    spark.sql("drop table if exists audits.sales")
    shutil.rmtree(Path(settings.tables_root) / "asof", ignore_errors=True)


def asked(home: Settings, feature: str, when: datetime, **key: str) -> why.Question:
    return why.question(home, load_catalog(CATALOG), Why(feature=feature, keys=tuple(key.items()), at=when))


def test_rows_that_count_and_rows_that_do_not(spark: "SparkSession", home: Settings) -> None:
    found = why.explained(
        spark, home, asked(home, "shops.shop_week__max_amount_2d", datetime(2026, 3, 4, 7, tzinfo=UTC), shop_id="s")
    )
    assert (found["value"], found["status"], found["cut"]) == (40, "ok", "2026-03-04T00-00Z")
    assert [(row["sale_id"], row["amount"], row["why"]) for row in found["rows"]] == [
        ("c", 20, "counts"), ("b", 40, "counts"), ("b", 90, "was taken back before"), ("a", 10, "counts"),
    ]  # fmt: skip
    assert found["windows"] == [
        {"feature": "max_amount_2d", "from": "2026-03-02T00:00:00+00:00", "to": "2026-03-04T00:00:00+00:00"}
    ]


def test_an_event_view_is_asked_at_the_instant(spark: "SparkSession", home: Settings) -> None:
    before = asked(home, "shops.shop_live__count_1d", datetime(2026, 3, 4, 0, 30, tzinfo=UTC), shop_id="s")
    after = asked(home, "shops.shop_live__count_1d", datetime(2026, 3, 4, 12, 0, tzinfo=UTC), shop_id="s")
    assert [row["sale_id"] for row in why.explained(spark, home, before)["rows"] if row["why"] == "counts"] == ["c"]
    found = why.explained(spark, home, after)
    assert {row["sale_id"]: row["why"] for row in found["rows"]}["e"] == "is after the window"
    assert found["value"] == sum(row["why"] == "counts" for row in found["rows"])


@pytest.mark.usefixtures("spark")
def test_the_command_shows_both_ways_and_what_is_online(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    command = Why(feature="shops.shop_week__max_amount_2d", keys=(("shop_id", "s"),), at=at(4))
    assert why.run(command, home) == 0
    said = capsys.readouterr().out
    assert (
        "shops.shop_week__max_amount_2d of shop_id=s at 2026-03-04T12:00:00+00:00: 40 (ok, cut 2026-03-04T00-00Z)"
        in said
    )
    assert "Online: nothing. The online store holds no values of view 'shop_week'" in said
    assert "4 row(s), 3 of which count" in said
    assert why.run(Why(feature=command.feature, keys=(("shop_id", "nobody"),), at=at(4), output="json"), home) == 0
    nobody = json.loads(capsys.readouterr().out)
    assert (nobody["value"], nobody["status"], nobody["rows"]) == (None, "never_seen", [])


def test_a_key_with_too_many_rows_is_refused_and_not_half_read(
    spark: "SparkSession", home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why, "_MOST", 4)
    with pytest.raises(InputError, match=r"has more than 4 rows in audits.sales: .*`asof sql`"):
        why.explained(spark, home, asked(home, "shops.shop_week__count_2d", at(4), shop_id="s"))


def test_what_is_not_there_is_said_before_spark_starts(home: Settings) -> None:
    with pytest.raises(
        MissingError, match=r"There is no feature of service 'shops' 'nope'. Known: .* Name it as SERVICE.VIEW__FEATURE"
    ):
        asked(home, "shops.nope", at(4), shop_id="s")
    with pytest.raises(MissingError, match="There is no service 'nope'"):
        asked(home, "nope.shop_week__count_2d", at(4), shop_id="s")
    with pytest.raises(InputError, match="does not fit view 'shop_week': it lacks shop_id; nobody asked for card"):
        asked(home, "shops.shop_week__count_2d", at(4), card="s")
    assert micros(at(4)) == asked(home, "shops.shop_week__count_2d", at(4), shop_id="s").at
