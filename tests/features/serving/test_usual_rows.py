"""Rows that are all as usual, read at once: the cells are those of rows that are read one by one, and their bytes are Arrow's."""

import pickle
import struct
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.serving.arrow_messages import Column, Messages
from features.serving.feast_answers import Answers, Described
from features.serving.feast_http import Asked
from features.serving.meters import Meters
from features.serving.reader import Result
from features.serving.served import Selected
from features.serving.usual_rows import Usual, UsualView
from features.store.packed import Packing, Span
from features.store.together import StringLayout, StringRows
from features.store.values import Cell
from tests.features.store.test_packed import OF, WHOLE, batch_of
from tests.features.store.test_together import NAMES, laid

AT, CUT = 1_000, 400
OF_A_WORD = ("int64", "timestamp", "float64")
KINDS = st.sampled_from([*OF_A_WORD * 3, "bool"])
VIEWS = st.lists(st.dictionaries(st.sampled_from(NAMES), KINDS), min_size=1, max_size=4)
OF_WORDS = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(OF_A_WORD), min_size=4), min_size=1, max_size=4
)
Drawn = tuple[Usual, list[bytes], list[list[Column]]]


def drawn(views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject) -> Drawn:
    """Rows in some strings, of which some features are asked for; of each view the columns that are meant."""
    packings = [Packing(types, f"definition {number}") for number, types in enumerate(views)]
    rows, meant, names = dict[int, bytes](), list[list[Column]](), list[tuple[str, ...]]()
    for number, (packing, types) in enumerate(zip(packings, views, strict=True)):
        cells: dict[str, Cell] = {name: data.draw(OF[kind]) for name, kind in types.items()}
        (rows[number],) = packing.pack(batch_of(types, [cells], ["ok"]), stamp)
        own = sorted(types) if data.draw(st.booleans()) else data.draw(st.permutations(sorted(types)))
        names.append(tuple(own[: data.draw(st.integers(0, len(own)))]))
        meant.append([(types[name], (cells[name],)) for name in names[-1]])
    strings, found, made = list[StringRows](), list[bytes](), dict[int, UsualView]()
    owners = data.draw(st.lists(st.integers(0, 1), min_size=len(views), max_size=len(views)))
    for owner in sorted(set(owners)):
        mine = [number for number in rows if owners[number] == owner]
        string, layout = laid({n: rows[n] for n in mine}, [3] * len(rows), data.draw(st.permutations(mine)))
        own_of = [packings[number] for number in mine]
        begins = [packing.begin(stamp) for packing in own_of]
        strings.append(StringRows(layout, own_of, [names[number] for number in mine], begins))
        found.append(string)
        for number, some, words in zip(mine, strings[-1].taken, strings[-1].words, strict=True):
            at = len(strings) - 1
            made[number] = UsualView(f"v{number}", some.names, "stale" if number else "ok", CUT, at, some.places, words)
    return Usual(strings, [made[number] for number in range(len(views))]), found, meant


@given(VIEWS, WHOLE, st.data())
def test_cells_are_those_of_the_rows(views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject) -> None:
    usual, found, meant = drawn(views, stamp, data)
    said = usual.of(found, AT)
    assert said is not None
    assert repr(said.cells()) == repr(tuple(chain.from_iterable(cells for own in meant for _, cells in own)))
    assert len(said) == len(views)
    for number, (view, own) in enumerate(zip(said, meant, strict=True)):
        status = "stale" if number else "ok"
        assert (view.view, view.statuses, view.cuts, view.ages) == (f"v{number}", (status,), (CUT,), (AT - CUT,))
        assert repr(list(view.values.values())) == repr([cells for _, cells in own])
        assert tuple(view.values) == usual.views[number].features
    assert said[-1] is said[len(views) - 1]
    assert (repr(said), said == usual.of(found, AT)) == (repr(tuple(said)), True)
    assert said != usual.of(found, AT + 1)
    assert repr(pickle.loads(pickle.dumps(said))) == repr(said)  # noqa: S301 - it was made here
    assert list(said[1:]) == list(said)[1:]


@given(VIEWS, WHOLE, st.data())
def test_answers_and_counts_are_those_of_views_looked_at_one_by_one(
    views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject
) -> None:
    usual, found, _ = drawn(views, stamp, data)
    said = usual.of(found, AT)
    assert said is not None
    selected = Selected(tuple((view.name, view.features) for view in usual.views))
    answers = Answers({view.name: Described("hash", 7) for view in usual.views})
    asked = Asked(entities={"k": [1]}, full_feature_names=True)
    ones, counts, meters = list[bytes](), list[Counter[str]](), Meters()
    meters.values(Result(service="", at=AT, keys=({"k": 1},), views=said, selected=selected))
    meters.write()  # what another test of this process counted shows from now on
    for given_views in (said, tuple(said)):
        before = rows_counted(meters)
        result = Result(service="", at=AT, keys=({"k": 1},), views=given_views, selected=selected)
        ones.append(answers.write(result, asked))
        meters.values(result)
        meters.write()
        counts.append(rows_counted(meters) - before)
    assert ones[0] == ones[1]
    assert counts[0] == counts[1]
    assert counts[0].total() == len(views)


def rows_counted(meters: Meters) -> Counter[str]:
    """By view and status; another test's may be among them."""
    lines = [line for line in meters.shown().decode().splitlines() if line.startswith("asof_rows_total")]
    return Counter({label: int(float(number)) for label, _, number in (line.partition("} ") for line in lines)})


@given(VIEWS, WHOLE, st.data())
def test_a_row_that_is_not_as_usual_is_told(
    views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject
) -> None:
    usual, found, _ = drawn(views, stamp, data)
    place = data.draw(st.integers(0, len(found) - 1))
    string = found[place]
    another = string[:3] + bytes([string[3] ^ 1]) + string[4:]  # of the timestamp of the first row in it
    for wrong in (b"", string[:-1], another):
        assert usual.of([*found[:place], wrong, *found[place + 1 :]], AT) is None


@given(VIEWS | OF_WORDS, WHOLE, st.data())
def test_bytes_are_those_of_arrow(views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject) -> None:
    usual, found, meant = drawn(views, stamp, data)
    keys: list[Column] = [("int64", (data.draw(WHOLE),)), ("string", (data.draw(st.text(max_size=9)),))]
    columns = [*keys, *chain.from_iterable([*own, ("string", (status,))] for own, status in zip(meant, usual.told, strict=True))]  # fmt: skip
    messages, said, pieces = Messages(), usual.of(found, AT), usual.pieces
    wanted = messages.message("these", 1, columns)
    of_a_word = all(kind in OF_A_WORD for own in meant for kind, _ in own)
    assert of_a_word or pieces is None
    if said is not None and pieces is not None:
        strings = said.strings
        told = messages.row_of_words(
            "these", [cells[0] for _, cells in keys], lambda after: pieces.taken(strings, after), usual.told
        )
        assert told == wanted
        assert messages.row_of_words("others", [], lambda after: pieces.taken(strings, after), usual.told) is None
        assert (
            messages.row_of_words("these", [None, "x"], lambda after: pieces.taken(strings, after), usual.told) is None
        )


@pytest.mark.parametrize(
    ("names", "spans"),
    [
        ("abcd", [Span(14, 46)]),
        ("bcda", [Span(22, 46), Span(14, 22)]),
        ("", []),
        ("abe", None),
        ("abcda", None),
    ],
)
def test_where_words_lie(names: str, spans: list[Span] | None) -> None:
    types: dict[str, ColumnType] = {"a": "int64", "b": "float64", "c": "timestamp", "d": "int64", "e": "bool"}
    packing = Packing(types, "one")
    assert packing.begin_size == 14
    assert packing.words(tuple(names)) == spans
    layout = StringLayout([0], (Span(100, 100 + packing.size),))
    moved = spans and [Span(first + 100, end + 100) for first, end in spans]
    assert StringRows(layout, [packing], [tuple(names)], [packing.begin(0)]).words == [moved]


def test_rows_of_two_strings_are_cut_and_put_in_order() -> None:
    """Two rows lie in one string, the later view's first, and one in another; cells are asked for in other orders than they lie in."""
    types: dict[str, ColumnType] = dict.fromkeys("abcdefgh", "int64")
    packings = [Packing(types, name) for name in ("one", "two", "three")]
    cells: list[dict[str, Cell]] = [{name: 100 * n + place for place, name in enumerate(types)} for n in range(3)]
    rows = [p.pack(batch_of(types, [own], ["ok"]), 5)[0] for p, own in zip(packings, cells, strict=True)]
    size = packings[0].size
    layouts = [
        StringLayout([0, 2], (Span(size + 3, 2 * size + 3), Span(2, 2 + size))),
        StringLayout([1], (Span(0, size),)),
    ]
    found = [b"xx" + rows[2] + b"y" + rows[0] + b"z", rows[1]]
    orders = {0: "efghabcd", 1: "abcdefgh", 2: "bcdefgh"}
    strings, views = list[StringRows](), dict[int, UsualView]()
    for at, layout in enumerate(layouts):
        own = [packings[number] for number in layout.views]
        rows_of = StringRows(layout, own, [tuple(orders[n]) for n in layout.views], [p.begin(5) for p in own])
        strings.append(rows_of)
        for number, some, words in zip(layout.views, rows_of.taken, rows_of.words, strict=True):
            views[number] = UsualView(f"v{number}", some.names, "ok", CUT, at, some.places, words)
    usual = Usual(strings, [views[number] for number in range(3)])
    said = usual.of(found, AT)
    meant = [[cells[number][name] for name in orders[number]] for number in range(3)]
    assert said is not None
    assert said.cells() == tuple(chain.from_iterable(meant))
    assert usual.pieces is not None
    taken = b"".join(usual.pieces.taken(found, [b"<0>", b"<1>", b"<2>"]))
    assert taken == b"".join(struct.pack(f"<{len(own)}q", *own) + b"<%d>" % n for n, own in enumerate(meant))  # fmt: skip


def test_many_pieces_are_not_worth_it() -> None:
    """Eight cells in two runs are, and in three are not."""
    types: dict[str, ColumnType] = dict.fromkeys("abcdefgh", "int64")
    packing = Packing(types, "one")
    layout = StringLayout([0], (Span(0, packing.size),))
    for order, is_worth_it in (("abcdefgh", True), ("efghabcd", True), ("ghabcdef", True), ("bacdefgh", False)):
        rows = StringRows(layout, [packing], [tuple(order)], [packing.begin(0)])
        (some,), (words,) = rows.taken, rows.words
        usual = Usual([rows], [UsualView("v", some.names, "ok", CUT, 0, some.places, words)])
        assert (usual.pieces is not None) == is_worth_it
