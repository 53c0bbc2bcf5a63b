"""Rows of several views, in a string an entity: read at once they are what they are one by one."""

from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.columns import OneRow
from features.store.live_rows import LiveRows
from features.store.packed import Packing
from features.store.reads import Answer
from features.store.together import Span, StringLayout, StringRows, Strings, Together, fitting
from features.store.values import Cell
from tests.features.store.test_packed import OF, WHOLE, batch_of

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
KINDS = st.sampled_from(["int64", "timestamp", "float64", "bool"])
VIEWS = st.lists(st.dictionaries(st.sampled_from(NAMES), KINDS), min_size=1, max_size=4)
"""Of each view its features and their types."""


def laid(rows: dict[int, bytes], gaps: list[int], order: list[int]) -> tuple[bytes, StringLayout]:
    """The rows of views in one string in some order, before each so many bytes of nobody's; where they lie."""
    string, spans = b"", dict[int, Span]()
    for number in order:
        string += b"\7" * gaps[number]
        spans[number] = Span(len(string), len(string) + len(rows[number]))
        string += rows[number]
    views = sorted(rows)
    return string, StringLayout(views, tuple(spans[number] for number in views))


HOW = st.sampled_from(["as usual", "as usual", "missing", "older", "overflow", "another definition", "broken"])


@given(VIEWS, WHOLE, st.data())
def test_rows_read_at_once_are_those_read_one_by_one(
    views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject
) -> None:
    packings = [Packing(types, f"definition {number}") for number, types in enumerate(views)]
    rows = [row_of(packing, types, stamp, data) for packing, types in zip(packings, views, strict=True)]
    gaps = data.draw(st.lists(st.integers(0, 40), min_size=len(views), max_size=len(views)))
    order = data.draw(st.permutations(range(len(views))))
    string, layout = laid(dict(enumerate(rows)), gaps, order)
    names = [tuple(data.draw(st.permutations(list(types)))[: data.draw(st.integers(0, len(types)))]) for types in views]
    sizes = {number: packing.size for number, packing in enumerate(packings)}
    assert fitting(layout, sizes) == StringLayout(tuple(layout.views), layout.spans)
    reads = StringRows(layout, packings, names, [packing.begin(stamp) for packing in packings])
    short = string[: data.draw(st.integers(0, len(string)))]
    for some in (string, string + b"\0\0", string + b"x", short, b""):
        whole = [some[first:end] for first, end in layout.spans]
        ones = [LiveRows(of).one(row, stamp, own) for row, of, own in zip(whole, packings, names, strict=True)]
        wanted = [row.strip(b"\0") and (row if one is None else one) for row, one in zip(whole, ones, strict=True)]
        assert repr(reads.one_by_one(some)) == repr(wanted)
        begins = [packing.begin(stamp) for packing in packings]
        are_usual = [row.startswith(begin) for row, begin in zip(whole, begins, strict=True)]
        assert reads.are_usual(some) == (all(are_usual) and len(some) >= max(end for _, end in layout.spans))
        if reads.are_usual(some):
            fields = reads.fields(some)
            assert len(fields) == reads.count
            assert repr([OneRow(one.names, one.cells(fields)) for one in reads.taken]) == repr(wanted)
            cells = [fields[place] for one in reads.taken for place in one.places]
            assert repr(cells) == repr([cell for one in reads.taken for cell in one.cells(fields)])


def row_of(packing: Packing, types: dict[str, ColumnType], stamp: int, data: st.DataObject) -> bytes:
    """A row, of whatever kind."""
    how = data.draw(HOW)
    cells: dict[str, Cell] = {name: data.draw(st.none() | OF[kind]) for name, kind in types.items()}
    batch = batch_of(types, [cells], ["overflow" if how == "overflow" else "ok"])
    by = Packing(types, "another") if how == "another definition" else packing
    (row,) = by.pack(batch, stamp ^ 1 if how == "older" else stamp)
    if how == "broken":
        at = data.draw(st.integers(0, len(row) - 1))
        return row[:at] + bytes([row[at] ^ data.draw(st.integers(1, 255))]) + row[at + 1 :]
    return bytes(len(row)) if how == "missing" else row


@given(VIEWS, st.data())
def test_spans_that_overlap_or_are_not_as_long_as_rows_do_not_fit(
    views: list[dict[str, ColumnType]], data: st.DataObject
) -> None:
    sizes = {number: Packing(types, "one").size for number, types in enumerate(views)}
    numbers = tuple(sizes)
    _, (_, spans) = laid({n: bytes(size) for n, size in sizes.items()}, [3] * len(views), list(numbers))
    odd = data.draw(st.sampled_from(numbers))
    first, end = spans[odd]
    moved = data.draw(st.sampled_from([Span(first, end + 1), Span(first + 1, end), Span(first, first)]))
    rest = [number for number in numbers if number != odd]
    left = StringLayout(tuple(rest), tuple(spans[number] for number in rest))
    assert fitting(StringLayout(numbers, spans), sizes) == StringLayout(numbers, spans)
    assert fitting(StringLayout(numbers, (*spans[:odd], moved, *spans[odd + 1 :])), sizes) == left
    assert fitting(StringLayout(numbers, spans), {number: sizes[number] for number in rest}) == left
    twice = StringLayout((*numbers, len(views)), (*spans, spans[odd]))
    assert fitting(twice, {**sizes, len(views): sizes[odd]}) == StringLayout((), ())
    with_text = StringLayout((*numbers, len(views)), (*spans, Span(spans[-1].end, spans[-1].end + 17)))
    assert fitting(with_text, {**sizes, len(views): Packing({"s": "string"}, "one").size}).views == numbers


def test_an_answer_is_made_where_it_is_looked_at() -> None:
    layouts = [StringLayout([0, 3], (Span(2, 4), Span(0, 2))), StringLayout([1], (Span(1, 3),))]
    fields, stated = {4: (b"f", b"text")}, Answer(None, states={b"s": b"state"})
    answers = Together(
        [0, 1, 3, 4, 5],
        [None] * 5,
        Strings(layouts, [b"o", b"k"], [1, 0], [b"\0\0ab\0\0", b"xyz"]),
        fields,
        {2: stated},
    )
    made = [
        Answer(None, {b"k": b"ab"}), Answer(None, {b"o": b"yz"}), stated, Answer(None, {b"k": None}), Answer(None, {b"f": b"text"}), Answer(None, {}),
    ]  # fmt: skip
    assert list(answers) == made
    assert (answers[-1], answers[2], len(answers)) == (made[5], stated, 6)
    assert [answers[4:], answers[:0]] == [made[4:], []]
    assert Together([0], [None], Strings([StringLayout([0], (Span(2, 4),))], [b"k"], [0], [b""]))[0] == made[3]
