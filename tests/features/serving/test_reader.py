"""A lookup gives values in their types, an honest status and age, or a sentence that says what to do."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from features import (
    Catalog,
    FeatureView,
    count,
    flat,
    mean,
)
from features.definitions.compiled import hash_of
from features.errors import InputError, MissingError
from features.serving.reader import Reader, Row, ViewValues
from features.settings import Settings
from tests.features.serving.habits import (
    CARD,
    CATALOG,
    CUT,
    DAY,
    HABIT_ROWS,
    HABITS,
    HOUR,
    NOW,
    PAIR_ROWS,
    PAIRS,
    PAYMENTS,
    TILL_ROWS,
    TILLS,
    put,
    rows,
)


@pytest.fixture
def settings(either_store: Settings) -> Settings:
    return either_store


@pytest.fixture
def reader(settings: Settings) -> Iterator[Reader]:
    for view, batch in ((HABITS, HABIT_ROWS), (PAIRS, PAIR_ROWS), (TILLS, TILL_ROWS)):
        put(settings, view, batch)
    with Reader(settings, CATALOG) as made:
        yield made


def one(reader: Reader, service: str, at: int | None = None, **key: object) -> Row:
    (row,) = reader.lookup(service, [key], at).rows
    return row


def test_values_status_and_age_of_known_keys(reader: Reader) -> None:
    row = one(reader, "both", card_id="c1", shop="s")
    assert row.values == {
        "habits__count_7d": 2, "habits__count_30d": 5, "habits__sum_amount_7d": 700, "habits__mean_amount_7d": 350.0,
        "habits__count_30d_minus_count_7d": 3, "pairs__count_7d": 1,
    }  # fmt: skip
    assert type(row.values["habits__mean_amount_7d"]) is float
    assert [(view.view, view.status, view.age, view.cut) for view in row.views] == [
        ("habits", "ok", 2 * HOUR, CUT),
        ("pairs", "ok", 2 * HOUR, CUT),
    ]


def test_a_selection_gives_only_its_features_and_overflow_is_told(reader: Reader) -> None:
    (view,) = one(reader, "some", card_id="c2").views
    assert view == ViewValues(
        view="habits", values={"mean_amount_7d": 3.0e18}, status="overflow", cut=CUT, age=2 * HOUR
    )


def test_a_key_that_was_never_seen_has_zeros_and_nulls(reader: Reader) -> None:
    row = one(reader, "both", card_id="new", shop="s")
    assert row.values == {
        "habits__count_7d": 0, "habits__count_30d": 0, "habits__sum_amount_7d": 0, "habits__mean_amount_7d": None,
        "habits__count_30d_minus_count_7d": 0, "pairs__count_7d": 0,
    }  # fmt: skip
    assert {view.status for view in row.views} == {"never_seen"}


def test_a_null_in_a_key_column_is_no_key_for_the_views_that_need_it(reader: Reader) -> None:
    row = one(reader, "both", card_id="c1", shop=None)
    assert [view.status for view in row.views] == ["ok", "no_key"]
    assert row.views[1].values == {"count_7d": None}


def test_several_keys_keep_their_order_and_repeat(reader: Reader) -> None:
    keys = [{"card_id": name, "shop": "s"} for name in ("c2", "c1", "new", "c1")]
    result = reader.lookup("both", keys)
    assert [row.values["habits__count_7d"] for row in result.rows] == [3, 2, 0, 2]
    assert result.at == NOW


def test_a_key_alone_is_said_what_it_is_said_among_others(reader: Reader) -> None:
    """Of views of two entities; one of them, or both, may lack it, or hold what is not usual."""
    keys = [{"card_id": card, "shop": shop} for card in ("c1", "c2", "nobody", None) for shop in ("s", "t", None)]
    rows = reader.lookup("both", keys).rows
    assert [reader.lookup("both", [key]).rows for key in keys] == [(row,) for row in rows]
    assert {tuple(view.status for view in row.views) for row in rows} >= {("ok", "ok"), ("overflow", "never_seen")}


def test_number_keys_are_read_from_text_and_timestamps_are_microseconds(reader: Reader) -> None:
    assert one(reader, "till", till_id="-7").values == {"tills__opened": -1}
    assert one(reader, "till", till_id=8).values == {"tills__opened": None}
    assert one(reader, "till", till_id=9).views[0].status == "never_seen"


@pytest.mark.parametrize("value", ["seven", "7.0", 7.0, True, 1 << 63, ""])
def test_a_key_that_is_no_number_is_refused(reader: Reader, value: object) -> None:
    with pytest.raises(
        InputError,
        match=r"The key till_id=.* is no whole number of 64 bits, which till_id of entity 'till' is\. Give one, such as till_id=42",
    ):
        one(reader, "till", till_id=value)


def test_a_number_is_no_text_key(reader: Reader) -> None:
    with pytest.raises(
        InputError, match=r"The key card_id=12 is int, but card_id of entity 'card' is text, byte for byte"
    ):
        one(reader, "some", card_id=12)


def test_missing_and_unknown_key_columns_are_named(reader: Reader) -> None:
    wanted = r"The key {'card_id': 'c1', 'color': 'red'} does not fit service 'both': it lacks shop; nobody asked for color\. It needs card_id=…, shop=…\."
    with pytest.raises(InputError, match=wanted):
        one(reader, "both", card_id="c1", color="red")


def test_after_the_horizon_values_are_stale_and_still_shown(reader: Reader) -> None:
    edge = CUT + 2 * DAY + HOUR  # two periods and the publish lag
    fresh, stale = (one(reader, "both", at, card_id="c1", shop="s").views[0] for at in (edge - 1, edge))
    assert (fresh.status, stale.status) == ("ok", "stale")
    assert (stale.values, stale.age) == (fresh.values, edge - CUT)
    assert one(reader, "both", edge, card_id="new", shop="s").views[0].status == "stale"
    assert one(reader, "till", CUT + 3 * DAY - 1, till_id=8).views[0].status == "ok"
    assert one(reader, "till", CUT + 3 * DAY, till_id=8).views[0].status == "stale"


def test_an_instant_before_the_live_generation_is_refused(reader: Reader) -> None:
    message = r"view 'habits' had other values than the store holds: those are of cut 2026-01-01T00-00Z, valid from 2026-01-01T01:00:00\+00:00 on\. .*`asof frame`"
    with pytest.raises(InputError, match=message):
        one(reader, "some", CUT + HOUR - 1, card_id="c1")
    assert one(reader, "some", CUT + HOUR, card_id="c1").views[0].status == "ok"


def test_a_service_with_a_view_without_lookups_is_refused(reader: Reader) -> None:
    with pytest.raises(
        InputError,
        match="Service 'now' takes live, which has no lookups: its source 'nameless' has no event_id, so an event that is pushed twice would count twice",
    ):
        one(reader, "now", card_id="c1")


def test_an_unknown_service_is_told_with_the_known(reader: Reader) -> None:
    with pytest.raises(MissingError, match=r"There is no service 'radar'\. Known: both, now, some, till"):
        one(reader, "radar", card_id="c1")


def test_a_store_without_the_view_names_the_command(settings: Settings) -> None:
    with (
        Reader(settings, CATALOG) as reader,
        pytest.raises(
            MissingError,
            match=r"The online store holds no values of view 'habits'\. Run `asof materialize --cut CUT --view habits` with a published cut",
        ),
    ):
        one(reader, "some", card_id="c1")


@pytest.mark.usefixtures("reader")
def test_values_of_another_definition_are_refused(settings: Settings) -> None:
    changed = FeatureView(
        name="habits", entity=CARD, source=PAYMENTS, features=flat((count("7d 30d"), mean("amount", "7d")))
    )
    catalog = Catalog(views=(changed,), services=CATALOG.services)
    wanted = rf"holds view 'habits' by definition {hash_of(HABITS)}, but the catalogue says {hash_of(changed)}: its values mean something else"
    with Reader(settings, catalog) as other, pytest.raises(MissingError, match=wanted):
        one(other, "some", card_id="c1")


def test_a_later_generation_is_seen_by_an_open_reader(reader: Reader, settings: Settings) -> None:
    assert one(reader, "till", till_id=8).views[0].cut == CUT
    put(settings, TILLS, rows(TILLS, {"till_id": [8]}, ["ok"], opened=[5]), CUT + DAY, NOW + DAY)
    view = one(reader, "till", NOW + DAY, till_id=8).views[0]
    assert (view.cut, view.values, view.age) == (CUT + DAY, {"opened": 5}, 2 * HOUR)
    assert one(reader, "till", NOW + DAY, till_id=-7).views[0].status == "never_seen"


def test_the_reader_needs_neither_feast_nor_spark() -> None:
    script = "import sys, features.serving.reader, jobs.lookup; print([name for name in ('feast', 'pyspark', 'pandas') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
