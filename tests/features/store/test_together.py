"""Rows of several views in one string: read at once they are what they are one by one."""

from operator import itemgetter

from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.packed import Packing
from features.store.reads import Answer
from features.store.together import Span, StringRows, Together, fits
from features.store.values import Cell
from tests.features.store.test_packed import OF, WHOLE, batch_of

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
KINDS = st.sampled_from(["int64", "timestamp", "float64", "bool"])
VIEWS = st.lists(st.dictionaries(st.sampled_from(NAMES), KINDS), min_size=1, max_size=4)
"""Of each view its features and their types."""


def laid(rows: list[bytes], gaps: list[int], order: list[int]) -> tuple[bytes, list[Span]]:
    """The rows in one string in some order, before each so many bytes of nobody's; where they lie."""
    string, spans = b"", [Span(0, 0)] * len(rows)
    for number in order:
        string += b"\7" * gaps[number]
        spans[number] = Span(len(string), len(string) + len(rows[number]))
        string += rows[number]
    return string, spans


@given(VIEWS, WHOLE, st.data())
def test_rows_read_at_once_are_those_read_one_by_one(
    views: list[dict[str, ColumnType]], stamp: int, data: st.DataObject
) -> None:
    packings = [Packing(types, f"definition {number}") for number, types in enumerate(views)]
    cells: list[dict[str, Cell]] = [{name: data.draw(OF[kind]) for name, kind in types.items()} for types in views]
    rows = [
        packing.pack(batch_of(types, [some], ["ok"]), stamp)[0]
        for packing, types, some in zip(packings, views, cells, strict=True)
    ]
    gaps = data.draw(st.lists(st.integers(0, 40), min_size=len(views), max_size=len(views)))
    string, spans = laid(rows, gaps, data.draw(st.permutations(range(len(views)))))
    names = [tuple(data.draw(st.permutations(list(types)))[: data.draw(st.integers(0, len(types)))]) for types in views]
    assert fits(packings, spans)
    begins = [packing.begin(stamp) for packing in packings]
    reads = StringRows(packings, names, spans)
    for longer in (b"", b"\0\0", b"x"):
        found = reads.read(string + longer, begins)
        assert found is not None
        assert [repr(row) for row in found] == [
            repr(packing.usual_one(row, stamp, some)) for packing, row, some in zip(packings, rows, names, strict=True)
        ]
    # Whatever is changed of what a row begins with, or cut off, it is not read.
    odd = data.draw(st.integers(0, len(views) - 1))
    at = spans[odd].first + data.draw(st.integers(0, packings[odd].begin_size - 1))
    assert reads.read(string[:at] + bytes([string[at] ^ 1]) + string[at + 1 :], begins) is None
    assert reads.read(string[: data.draw(st.integers(0, len(string) - 1))], begins) is None


@given(VIEWS, st.data())
def test_spans_that_overlap_or_are_not_as_long_as_rows_do_not_fit(
    views: list[dict[str, ColumnType]], data: st.DataObject
) -> None:
    packings = [Packing(types, "one") for types in views]
    _, spans = laid([bytes(packing.size) for packing in packings], [3] * len(views), list(range(len(views))))
    odd = data.draw(st.integers(0, len(views) - 1))
    first, end = spans[odd]
    moved = data.draw(st.sampled_from([Span(first, end + 1), Span(first + 1, end), Span(first, first)]))
    assert fits(packings, spans)
    assert not fits(packings, [*spans[:odd], moved, *spans[odd + 1 :]])
    assert not fits([*packings, packings[odd]], [*spans, spans[odd]])
    assert not fits([*packings, Packing({"s": "string"}, "one")], [*spans, Span(spans[-1].end, spans[-1].end + 17)])


def test_an_answer_is_made_where_it_is_looked_at() -> None:
    answers = Together([None, None], b"k", b"\0\0ab\0\0", (Span(2, 4), Span(0, 2)))
    there, gone = Answer(None, {b"k": b"ab"}), Answer(None, {b"k": None})
    assert list(answers) == [there, gone] == answers
    assert answers != [gone, there]
    assert answers == Together([None, None], b"k", b"xab\0\0", (Span(1, 3), Span(3, 5)))
    assert (answers[-1], len(answers)) == (gone, 2)
    assert [answers[1:], answers[:0]] == [[gone], []]
    assert Together([None], b"k", b"", (Span(2, 4),))[0] == gone
    assert sorted(Together([None], b"k", b"", (Span(2, 4),))[0].rows.items(), key=itemgetter(0)) == [(b"k", None)]
