"""A lookup of one key says what a lookup that goes view by view says, whatever lies in the store and whenever it is asked."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import FeatureService, FeatureView, Field, Policy, Source, attribute, flat, mean, sum_
from features.errors import AsofError, EarlyError, NotLoadedError
from features.serving.one_key import OneKey
from features.serving.policies import rules_of
from features.serving.reader import Chosen
from features.serving.served import Served
from features.store.heads import Head, Layout
from features.store.reads import Answer
from features.store.together import Span, StringLayout, Strings, Together
from features.store.values import Cell
from tests.features.serving.habits import CARD, CUT, DAY, HABITS, HOUR, PAYMENTS, rows

SUMS = FeatureView(
    name="sums", entity=CARD, source=PAYMENTS, features=flat((sum_("amount", "1d 7d"), mean("amount", "1d")))
)
CARDS = Source(
    name="cards", table="raw.cards", kind="changes",
    columns=(Field(name="card_id", type="string"), Field(name="name", type="string"), Field(name="opened", type="timestamp"), Field(name="event_time", type="timestamp")),
)  # fmt: skip
NAMES = FeatureView(
    name="names", entity=CARD, source=CARDS, features=(attribute("name"), attribute("opened")), horizon="49h"
)
VIEWS = (HABITS, NAMES, SUMS)
VALUES: dict[str, dict[str, list[Cell]]] = {
    "habits": {"count_7d": [2], "count_30d": [5], "sum_amount_7d": [700], "mean_amount_7d": [350.0], "count_30d_minus_count_7d": [3]},
    "names": {"name": ["Ada"], "opened": [-7]},
    "sums": {"sum_amount_1d": [-1], "sum_amount_7d": [700], "mean_amount_1d": [0.5]},
}  # fmt: skip
EVERYTHING = {f"{view}__{name}": value for view, own in VALUES.items() for name, (value,) in own.items()}
(KEY,) = Chosen("", [(Served(HABITS), ())]).lookup([{"card_id": "c1"}], CUT, is_now=False).questions[0].keys


class Stored(NamedTuple):
    """Of one view: what its head record says, and its row."""

    head: Head
    row: bytes


HORIZON = Layout.of(HABITS, CUT).horizon
HOW = ("as usual", "missing", "older", "newer", "null", "overflow", "broken", "another definition")
INSTANTS = [CUT + hours * HOUR + more for hours in (0, 1, 2, 3) for more in (-1, 0, HORIZON - 1, HORIZON)]


def stored(view: FeatureView, how: str, cut: int) -> Stored:
    """As a load leaves it, and somebody after it."""
    layout, packing = Layout.of(view, cut), Served(view).packing
    values = dict(VALUES[view.name])
    if how == "null":
        values[min(values)] = [None]
    batch = rows(view, {"card_id": ["c1"]}, ["overflow" if how == "overflow" else "ok"], **values)
    stamp = layout.valid_from + {"older": -DAY, "newer": DAY}.get(how, 0)
    (row,) = packing.pack(batch, stamp)
    row = {"missing": bytes(len(row)), "broken": row[:9] + b"\1" + row[10:]}.get(how, row)
    head = layout.head(generation=1, rows=1, loaded_at=cut)
    return Stored(replace(head, definition="another") if how == "another definition" else head, row)


def together(
    found: Sequence[Stored],
    cut_off: int = 0,
    order: Sequence[int] = (2, 0),
    gap: int = 0,
    beside: Sequence[int] = (),
    *,
    apart: bool = False,
) -> Together:
    """Rows in one string, or in one each, in some order, before each so many bytes of nobody's, without so many of the last bytes.

    Texts are a field, and views beside are answered as if they were no plain ones.
    """
    strings, layouts, order = list[bytes](), list[StringLayout](), [number for number in order if number not in beside]
    for views in [[number] for number in order] if apart else [order] if order else []:
        string, spans = b"", dict[int, Span]()
        for number in views:
            string += b"\7" * gap
            spans[number] = Span(len(string), len(string) + len(found[number].row))
            string += found[number].row
        strings.append(string[: len(string) - cut_off])
        layouts.append(StringLayout(sorted(views), tuple(spans[number] for number in sorted(views))))
    plain = [number for number in range(len(found)) if number not in beside]
    held = {number: (KEY, one.row if one.row.strip(b"\0") else None) for number, one in enumerate(found)}
    others = {number: Answer(found[number].head, dict([held[number]])) for number in beside}
    fields = {number: held[number] for number in plain if number not in order}
    heads = [found[number].head for number in plain]
    return Together(plain, heads, Strings(layouts, [KEY], [0] * len(strings), strings), fields, others)


def said(chosen: Chosen, answers: Sequence[Answer], at: int, keys: int = 1) -> object:
    """All that a lookup says, or its error."""
    lookup = chosen.lookup([{"card_id": "c1"}] * keys, at, is_now=False)
    try:
        return chosen.result("all", lookup, answers).rows
    except AsofError as error:
        return type(error), str(error)


CHOICES = st.tuples(*(st.permutations(list(VALUES[view.name])) for view in VIEWS))


class Asked(NamedTuple):
    """What lies in the store, and when it is asked."""

    how: tuple[str, str, str]
    late: tuple[int, int, int]
    """Hours of the views' cuts after `CUT`."""
    cut_off: int
    order: Sequence[int]
    gap: int
    beside: Sequence[int]
    at: int
    keys: int
    apart: bool


USUALLY = st.sampled_from(HOW) | st.just("as usual")
ASKED = st.builds(
    Asked, how=st.tuples(USUALLY, USUALLY, USUALLY), late=st.tuples(*[st.integers(0, 2)] * 3), cut_off=st.sampled_from([0, 0, 0, 1, 40]),
    order=st.permutations((0, 2)), gap=st.sampled_from([0, 3]), beside=st.lists(st.integers(0, 2), unique=True), at=st.sampled_from(INSTANTS),
    keys=st.sampled_from([1, 1, 2]), apart=st.booleans(),
)  # fmt: skip


@pytest.mark.parametrize("views", [VIEWS, (HABITS, SUMS)])
@given(st.lists(ASKED, min_size=1, max_size=5), CHOICES, st.integers(1, 5))
def test_of_one_key_is_said_what_is_said_view_by_view(
    views: tuple[FeatureView, ...], asked: list[Asked], names: tuple[list[str], ...], some: int
) -> None:
    """One after the other by the same choice, so that what was remembered of the one before is not said of the next."""
    own = dict(zip(VIEWS, names, strict=True))
    chosen = Chosen("service 'all'", [(Served(view), tuple(own[view][:some])) for view in views])
    for one in asked:
        kept = zip(VIEWS, one.how, one.late, strict=True)
        found = [stored(view, how, CUT + late * HOUR) for view, how, late in kept if view in views]
        order = [views.index(VIEWS[number]) for number in one.order]
        beside = [number for number in one.beside if number < len(views)]
        answers = together(found, one.cut_off, order, one.gap, beside, apart=one.apart)
        assert repr(said(chosen, answers, one.at, one.keys)) == repr(said(chosen, list(answers), one.at, one.keys))


@pytest.mark.parametrize(("at", "status"), [(CUT + HOUR, "ok"), (CUT + HORIZON - 1, "ok"), (CUT + HORIZON, "stale")])
def test_what_is_said_has_its_cut_and_age(at: int, status: str) -> None:
    chosen = Chosen("service 'all'", [(Served(view), tuple(view.types)) for view in VIEWS])
    lookup = chosen.lookup([{"card_id": "c1"}], at, is_now=False)
    answers = together([stored(view, "as usual", CUT) for view in VIEWS])
    (row,) = chosen.result("all", lookup, answers).rows
    assert row.values == EVERYTHING
    assert [(view.view, view.status, view.cut, view.age) for view in row.views] == [
        (view.name, status, CUT, at - CUT) for view in VIEWS
    ]


@pytest.mark.parametrize(("at", "status"), [(CUT + HOUR, "never_seen"), (CUT + HORIZON, "stale")])
def test_a_key_without_rows_was_never_seen_until_that_is_stale_as_well(at: int, status: str) -> None:
    """Whether rows would be in a string or, with texts, a field."""
    chosen = Chosen("service 'all'", [(Served(view), tuple(view.types)) for view in VIEWS])
    lookup = chosen.lookup([{"card_id": "c1"}], at, is_now=False)
    (row,) = chosen.result("all", lookup, together([stored(view, "missing", CUT) for view in VIEWS])).rows
    assert [(view.status, view.cut, view.age) for view in row.views] == [(status, CUT, at - CUT)] * 3
    assert set(row.values.values()) == {0, None}


def test_policies_hold_for_one_key_too() -> None:
    service = FeatureService(
        name="all", views=VIEWS, policies=tuple(Policy(view=view.name, stale="null") for view in VIEWS)
    )
    views = [(Served(view), tuple(view.types)) for view in VIEWS]
    chosen = Chosen("service 'all'", views, rules_of(service, views))
    answers = together([stored(view, "as usual", CUT) for view in VIEWS])
    lookup = chosen.lookup([{"card_id": "c1"}], CUT + HORIZON, is_now=False)
    (row,) = chosen.result("all", lookup, answers).rows
    assert set(row.values.values()) == {None}


def test_a_row_says_nothing_of_a_number_in_another_place() -> None:
    """The bytes that hold a row's first number are changed: the value follows, and no other."""
    chosen = Chosen("service 'all'", [(Served(view), tuple(view.types)) for view in VIEWS])
    found = [stored(view, "as usual", CUT) for view in VIEWS]
    first = min(VALUES["sums"])
    at = Served(SUMS).packing.begin_size
    found[2] = found[2]._replace(row=found[2].row[:at] + struct.pack("<d", 8.25) + found[2].row[at + 8 :])
    lookup = chosen.lookup([{"card_id": "c1"}], CUT + HOUR, is_now=False)
    (row,) = chosen.result("all", lookup, together(found)).rows
    assert row.values == EVERYTHING | {f"sums__{first}": 8.25}


PLAIN = [(Served(view), tuple(view.types)) for view in (HABITS, SUMS)]


def at_once(one: OneKey, found: Sequence[Stored], at: int, **how: Any) -> list[tuple[str, int, int] | None]:
    """Of each view status, cut and age; None of one whose row was not read at once with the others'."""
    answers = together(found, order=how.pop("order", (0, 1)), **how)
    columns = one.columns([[KEY]] * len(found), answers, at, {})
    return [
        (view.statuses[0], view.cuts[0], view.ages[0]) if isinstance(view.statuses, tuple) else None for view in columns
    ]


@pytest.mark.parametrize("older", [0, 1])
def test_each_view_is_stale_by_its_own_cut(older: int) -> None:
    cuts = [CUT + HOUR, CUT + HOUR]
    cuts[older] = CUT
    found = [stored(view, "as usual", cut) for view, cut in zip((HABITS, SUMS), cuts, strict=True)]
    one = OneKey(PLAIN)
    for at, stale in ((CUT + 2 * HOUR, False), (CUT + HORIZON - 1, False), (CUT + HORIZON, True)):
        wanted = [("ok", cut, at - cut) for cut in cuts]
        wanted[older] = ("stale" if stale else "ok", CUT, at - CUT)
        assert at_once(one, found, at) == wanted
    with pytest.raises(EarlyError):
        at_once(one, found, CUT + 2 * HOUR - 1)


def test_rows_that_moved_are_read_at_once_where_they_are() -> None:
    found = [stored(view, "as usual", CUT) for view in (HABITS, SUMS)]
    one, wanted = OneKey(PLAIN), [("ok", CUT, HOUR)] * 2
    for order, gap, apart in (((0, 1), 0, False), ((1, 0), 0, False), ((0, 1), 5, False), ((1, 0), 0, True)):
        assert at_once(one, found, CUT + HOUR, order=order, gap=gap, apart=apart) == wanted


@pytest.mark.parametrize(
    ("how", "status"),
    [("null", "ok"), ("missing", "never_seen"), ("older", None), ("overflow", None), ("broken", None)],
)
def test_one_view_is_read_at_once_whatever_the_other_holds(how: str, status: str | None) -> None:
    found = [stored(HABITS, how, CUT), stored(SUMS, "as usual", CUT)]
    wanted: list[tuple[str, int, int] | None] = [None if status is None else (status, CUT, HOUR), ("ok", CUT, HOUR)]
    assert at_once(OneKey(PLAIN), found, CUT + HOUR) == wanted


def test_what_the_records_say_anew_holds_at_once() -> None:
    one = OneKey(PLAIN)
    before, after = ([stored(view, "as usual", cut) for view in (HABITS, SUMS)] for cut in (CUT, CUT + HOUR))
    foreign = [stored(HABITS, "as usual", CUT), stored(SUMS, "another definition", CUT)]
    at = CUT + 3 * HOUR
    assert at_once(one, before, at) == [("ok", CUT, 3 * HOUR)] * 2
    with pytest.raises(NotLoadedError, match="sums"):
        at_once(one, foreign, at)
    assert at_once(one, after, at) == [("ok", CUT + HOUR, 2 * HOUR)] * 2
    assert at_once(one, before, at) == [("ok", CUT, 3 * HOUR)] * 2
