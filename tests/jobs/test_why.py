"""`asof why`: the rows behind a value through real Spark and Hive, and what the store says of the same."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.definitions.catalog import load_catalog
from features.definitions.durations import DAY
from features.definitions.names import micros
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import tiles, why
from jobs.commands import Why
from jobs.fits import FITS
from jobs.stats import cuts_of
from jobs.tile_answers import Question as Asked
from tests.jobs.audited_days import store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
CATALOG = "tests.jobs.catalogue_of_why"
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(3)]


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def sale(
    event: str, when: datetime, amount: int | None, *, known: datetime | None = None, undoes: datetime | None = None, shop: str = "s"
) -> tuple[Any, ...]:  # fmt: skip
    """As ingest stores it: an addition, or what takes back the one known at `undoes`."""
    seen = known or when
    op = "retract" if undoes else "add"
    return (event, shop, amount, when, undoes or seen, str(seen.date()), op, seen, undoes, undoes is None)


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
        DAYS[0]: [sale("a", at(2), 10), sale("b", at(2, 13), 90), sale("t1", at(2, 10), 8, shop="t"), sale("t2", at(2, 11), 8, shop="t")],
        DAYS[1]: [
            sale("c", at(3), 20), sale("b", at(2, 13), 90, known=at(3), undoes=at(2, 13)), sale("b", at(2, 13), 40, known=at(3)),
            sale("t3", at(3, 10), 8, shop="t"), sale("t4", at(3, 11), 8, shop="t"),
        ],
        DAYS[2]: [sale("d", at(3, 9), 7, known=at(4, 1)), sale("e", at(4), None), sale("t5", at(4, 10), 8, shop="t")],
    })  # fmt: skip
    store(spark, settings, "returns", {
        DAYS[0]: [sale("a", at(2), 10, known=at(2, 18))],
        DAYS[1]: [sale("t1", at(2, 10), 8, known=at(3, 22), shop="t")],
        DAYS[2]: [sale("c", at(3), 20, known=at(4))],
    })  # fmt: skip
    yield settings
    for table in ("audits.sales", "audits.returns", FITS):
        spark.sql(f"drop table if exists {table}")
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


def test_the_tiles_behind_a_value_are_shown_once_they_are_built(spark: "SparkSession", home: Settings) -> None:
    """What was taken back is in none of them; the live view's windows end where no tile does."""
    question = asked(home, "shops.shop_week__max_amount_2d", datetime(2026, 3, 4, 7, tzinfo=UTC), shop_id="s")
    because = "not all tiles of its window are built; `asof stats` or tiles=True builds them"
    assert why.explained(spark, home, question)["tiles"] == {"tiles": [], "because": {"max_amount_2d": because}}
    cut = micros(datetime(2026, 3, 4, tzinfo=UTC))
    of_window = Asked(view=question.view, by=(), lower=cut - 2 * DAY, cut=cut)
    tiles.up_to_date(spark, home, question.view, cuts_of(home, of_window))
    found = why.explained(spark, home, question)["tiles"]
    assert found["because"] == {}
    assert [(tile["from"][:10], tile["to"][:10], tile["rows"], tile["value"]) for tile in found["tiles"]] == [
        ("2026-03-03", "2026-03-04", 1, 20), ("2026-03-02", "2026-03-03", 2, 40),
    ]  # fmt: skip
    live = why.explained(spark, home, asked(home, "shops.shop_live__count_1d", at(4), shop_id="s"))["tiles"]
    assert live == {"tiles": [], "because": {"count_1d": "it is computed when it is asked for, not at cuts"}}


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


CUT, FROM, VALID = "2026-03-05T00-00Z", "2026-03-0{}T00:00:00+00:00", "2026-03-05T01:00:00+00:00"
BEHIND = {
    "returns_rate_smoothed_2d_offset_1d": {
        "feature": "returns_rate_smoothed_2d_offset_1d", "name": "returns_rate_smoothed_2d_offset_1d__prior", "cut": CUT, "valid_from": VALID,
        "over": "sales of all keys", "prior": 0.375, "weight": 4, "outcomes": 2.0, "events": 4.0, "from": FROM.format(2), "to": FROM.format(4),
        "sum": "(0.375 x 4 + 2) / (4 + 4) = 0.4375",
    },
    "lag curve": {
        "feature": "returns_corrected_rate_smoothed_2d", "name": "returns_corrected_rate_smoothed_2d__lag_curve", "cut": CUT, "valid_from": VALID,
        "over": "sales of all keys with sale_id other than z at least 2 days old", "least": 0.1, "outcomes": 1.0, "events": 2, "expected": 1.0,
        "shown": 0.5, "from": "2026-02-23T00:00:00+00:00", "to": "2026-03-03T00:00:00.000001+00:00",
        "ages": [
            {"age": 0, "share": 0.0, "outcomes": 0, "events": 1, "counts": False}, {"age": 1, "share": 0.5, "outcomes": 1, "events": 2, "counts": True},
        ],
        "sum": "1 / (2 x 0.5) = 1",
    },
    "prior of the corrected rate": {
        "feature": "returns_corrected_rate_smoothed_2d", "name": "returns_corrected_rate_smoothed_2d__prior", "cut": CUT, "valid_from": VALID,
        "over": "sales of all keys with sale_id other than z", "prior": 0.5, "weight": 2, "outcomes": 1.0, "events": 1.0, "from": FROM.format(3),
        "to": FROM.format(5), "sum": "(0.5 x 2 + 1) / (2 + 1) = 0.666667",
    },
}  # fmt: skip
"""By hand: shop s has sold a, b, c, d and e, shop t t1 to t5; a came back after 6 hours, t1 after 36, c after 24. So of both outcomes that are two days old
half had come within a day (G = 0, 1/2, 1), and of the 8 sales of the 2nd and the 3rd three came back (3/8), two of the four of s. Of the sales of the 3rd and
the 4th c of s has come back; c and d are a day old, e is none: 1 / (2 x 1/2); of all keys, with t3, t4 and t5, 1 / (4 x 1/2)."""


def test_a_value_names_the_fits_that_went_into_it_and_their_numbers(spark: "SparkSession", home: Settings) -> None:
    cohort, curve, prior = BEHIND.values()
    for feature, value, fits in (
        ("returns_rate_smoothed_2d_offset_1d", 0.4375, [cohort]),
        ("returns_corrected_rate_smoothed_2d", 2 / 3, [curve, prior]),
        ("back_growth", 0.4375 / (2 / 3), [cohort, curve, prior]),
        ("count_2d", 3, []),
    ):
        found = why.explained(spark, home, asked(home, f"shops.shop_back__{feature}", at(5, 6), shop_id="s"))
        assert (found["value"], found["fits"]) == (value, fits), feature
    kept = {row["name"]: list(row["fit"]) for row in spark.table(FITS).where("view = 'shop_back'").collect()}
    assert kept["returns_corrected_rate_smoothed_2d__lag_curve"] == [0, 0.5, 1]
    nobody = why.explained(
        spark, home, asked(home, "shops.shop_back__returns_rate_smoothed_2d_offset_1d", at(5, 6), shop_id="nobody")
    )
    assert [(use["prior"], use["sum"]) for use in nobody["fits"]] == [(0.375, "")]
    assert (nobody["value"], nobody["status"]) == (None, "never_seen")


def test_an_anomaly_and_its_reason_name_centres_and_scales(spark: "SparkSession", home: Settings) -> None:
    # In the two days s has sold for 20 + 7, t for 3 x 8; both sold three times. The centre is the smaller of two; no distance lies below the middle
    # one, so the scale is 1.2533 x the mean distance, and of the counts, which do not differ, 1/32 of the centre.
    for feature in ("anomaly_score", "anomaly_reason_1"):
        found = why.explained(spark, home, asked(home, f"shops.shop_back__{feature}", at(5, 6), shop_id="s"))
        counts, sums = found["fits"]
        assert (sums["name"], sums["feature"], sums["cut"]) == ("anomaly_score__sum_amount_2d", "anomaly_score", CUT)
        assert sums["over"] == "sum_amount_2d of all keys whose count_2d is above 0"
        assert (sums["value"], sums["centre"], sums["scale"]) == (27, 24, 1.2533 * 1.5)
        assert sums["distance"] == sums["counted"] == 3 / (1.2533 * 1.5)
        assert (counts["value"], counts["centre"], counts["scale"], counts["distance"]) == (3, 3, 3 / 32, 0)
        assert found["value"] in {"sum_amount_2d", sqrt((3 / (1.2533 * 1.5)) ** 2 / 2)}
        assert "rows" in found


@pytest.mark.usefixtures("spark")
def test_the_command_shows_fits_in_words(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    command = Why(feature="shops.shop_back__returns_corrected_rate_smoothed_2d", keys=(("shop_id", "s"),), at=at(5, 6))
    assert why.run(command, home) == 0
    said = capsys.readouterr().out
    assert (
        "returns_corrected_rate_smoothed_2d uses returns_corrected_rate_smoothed_2d__lag_curve, fitted at cut 2026-03-05T00-00Z over sales of all keys "
        "with sale_id other than z at least 2 days old, from 2026-02-23T00:00:00+00:00 to before 2026-03-03T00:00:00.000001+00:00; "
        "valid from 2026-03-05T01:00:00+00:00 (asof.fits).\n  least 0.1, outcomes 1, events 2, expected 1, shown 0.5: 1 / (2 x 0.5) = 1\n"
        "  0 day(s) old: 0 of outcomes show, 0 of 1 event(s) have one; left out, too few show by then\n"
        "  1 day(s) old: 0.5 of outcomes show, 1 of 2 event(s) have one\n"
    ) in said
    assert "prior 0.5, weight 2, outcomes 1, events 1: (0.5 x 2 + 1) / (2 + 1) = 0.666667" in said
