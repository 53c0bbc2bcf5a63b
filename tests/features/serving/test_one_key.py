"""A lookup of one key gives what a lookup that goes view by view gives, whatever lies in the store and whenever it is asked."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import FeatureService, FeatureView, Policy, flat, mean, sum_
from features.errors import AsofError
from features.serving.one_key import OneKey
from features.serving.policies import rules_of
from features.serving.reader import Chosen
from features.serving.served import Served
from features.store.heads import Head, Layout
from features.store.reads import Answer
from features.store.together import Span, StringLayout, Together
from features.store.values import Cell
from tests.features.serving.habits import CARD, CUT, DAY, HABITS, HOUR, PAYMENTS, rows

SUMS = FeatureView(
    name="sums", entity=CARD, source=PAYMENTS, features=flat((sum_("amount", "1d 7d"), mean("amount", "1d")))
)
VIEWS = (HABITS, SUMS)
VALUES: dict[str, dict[str, list[Cell]]] = {
    "habits": {"count_7d": [2], "count_30d": [5], "sum_amount_7d": [700], "mean_amount_7d": [350.0], "count_30d_minus_count_7d": [3]},
    "sums": {"sum_amount_1d": [-1], "sum_amount_7d": [700], "mean_amount_1d": [0.5]},
}  # fmt: skip
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
    found: Sequence[Stored], cut_off: int = 0, order: Sequence[int] = (1, 0), gap: int = 0, *, apart: bool = False
) -> Together:
    """The rows in one string, or in one each, in some order, before each so many bytes of nobody's, without so many of the last bytes."""
    strings, layouts = list[bytes](), list[StringLayout]()
    for views in [[number] for number in order] if apart else [order]:
        string, spans = b"", dict[int, Span]()
        for number in views:
            string += b"\7" * gap
            spans[number] = Span(len(string), len(string) + len(found[number].row))
            string += found[number].row
        strings.append(string[: len(string) - cut_off])
        layouts.append(StringLayout(sorted(views), tuple(spans[number] for number in sorted(views))))
    return Together([one.head for one in found], layouts, [KEY] * len(strings), strings)


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

    how: tuple[str, str]
    late: tuple[int, int]
    """Hours of the views' cuts after `CUT`."""
    cut_off: int
    order: Sequence[int]
    gap: int
    at: int
    keys: int
    apart: bool


USUALLY = st.sampled_from(HOW) | st.just("as usual")
ASKED = st.builds(
    Asked, how=st.tuples(USUALLY, USUALLY), late=st.tuples(st.integers(0, 2), st.integers(0, 2)), cut_off=st.sampled_from([0, 0, 0, 1, 40]),
    order=st.permutations((0, 1)), gap=st.sampled_from([0, 3]), at=st.sampled_from(INSTANTS), keys=st.sampled_from([1, 1, 2]), apart=st.booleans(),
)  # fmt: skip


@given(st.lists(ASKED, min_size=1, max_size=5), CHOICES, st.integers(1, 5))
def test_of_one_key_is_said_what_is_said_view_by_view(
    asked: list[Asked], names: tuple[list[str], list[str]], some: int
) -> None:
    """One after the other by the same choice, so that what was remembered of the one before is not said of the next."""
    chosen = Chosen(
        "service 'all'", [(Served(view), tuple(own[:some])) for view, own in zip(VIEWS, names, strict=True)]
    )
    for one in asked:
        found = [stored(view, how, CUT + late * HOUR) for view, how, late in zip(VIEWS, one.how, one.late, strict=True)]
        answers = together(found, one.cut_off, one.order, one.gap, apart=one.apart)
        assert repr(said(chosen, answers, one.at, one.keys)) == repr(said(chosen, list(answers), one.at, one.keys))


@pytest.mark.parametrize(("at", "status"), [(CUT + HOUR, "ok"), (CUT + HORIZON - 1, "ok"), (CUT + HORIZON, "stale")])
def test_what_is_said_has_its_cut_and_age(at: int, status: str) -> None:
    chosen = Chosen("service 'all'", [(Served(view), tuple(view.types)) for view in VIEWS])
    lookup = chosen.lookup([{"card_id": "c1"}], at, is_now=False)
    answers = together([stored(view, "as usual", CUT) for view in VIEWS])
    (row,) = chosen.result("all", lookup, answers).rows
    assert row.values == {f"{view}__{name}": value for view, own in VALUES.items() for name, (value,) in own.items()}
    assert [(view.view, view.status, view.cut, view.age) for view in row.views] == [
        ("habits", status, CUT, at - CUT),
        ("sums", status, CUT, at - CUT),
    ]


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
    found[1] = found[1]._replace(row=found[1].row[:at] + struct.pack("<d", 8.25) + found[1].row[at + 8 :])
    lookup = chosen.lookup([{"card_id": "c1"}], CUT + HOUR, is_now=False)
    (row,) = chosen.result("all", lookup, together(found)).rows
    whole = {f"{view}__{name}": value for view, own in VALUES.items() for name, (value,) in own.items()}
    assert row.values == whole | {f"sums__{first}": 8.25}


@pytest.mark.parametrize("older", [0, 1])
def test_the_oldest_view_says_when_the_first_is_stale_and_the_newest_from_when_all_are_served(older: int) -> None:
    cuts = [CUT + HOUR, CUT + HOUR]
    cuts[older] = CUT
    found = together([stored(view, "as usual", cut) for view, cut in zip(VIEWS, cuts, strict=True)])
    one = OneKey([(Served(view), tuple(view.types)) for view in VIEWS])
    served = [
        at for at in (CUT + 2 * HOUR - 1, CUT + 2 * HOUR, CUT + HORIZON - 1, CUT + HORIZON) if one.columns(found, at)
    ]
    assert served == [CUT + 2 * HOUR, CUT + HORIZON - 1]


def test_rows_that_moved_are_read_at_once_where_they_are() -> None:
    found = [stored(view, "as usual", CUT) for view in VIEWS]
    one = OneKey([(Served(view), tuple(view.types)) for view in VIEWS])
    for order, gap, apart in (((0, 1), 0, False), ((1, 0), 0, False), ((0, 1), 5, False), ((1, 0), 0, True)):
        assert one.columns(together(found, order=order, gap=gap, apart=apart), CUT + HOUR)


def test_what_the_records_say_anew_holds_at_once() -> None:
    one = OneKey([(Served(view), tuple(view.types)) for view in VIEWS])
    before, after = (together([stored(view, "as usual", cut) for view in VIEWS]) for cut in (CUT, CUT + HOUR))
    foreign = together([stored(HABITS, "as usual", CUT), stored(SUMS, "another definition", CUT)])
    at = CUT + 3 * HOUR
    assert one.columns(before, at)
    assert one.columns(foreign, at) is None
    assert [view.cuts for view in one.columns(after, at) or ()] == [(CUT + HOUR,)] * 2
    assert [view.ages for view in one.columns(before, at) or ()] == [(3 * HOUR,)] * 2
