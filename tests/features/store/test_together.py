"""Rows of several views, in a string an entity: read at once they are what they are one by one."""

from hypothesis import given
from hypothesis import strategies as st

from features.definitions.expressions import ColumnType
from features.store.packed import Packing
from features.store.reads import Answer
from features.store.together import RowsTogether, Span, StringLayout, Together, fits
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
    order = data.draw(st.permutations(range(len(views))))
    cut = data.draw(st.integers(1, len(views)))
    parts = [part for part in (order[:cut], order[cut:]) if part]
    strings, layouts = map(list, zip(*(laid({n: rows[n] for n in part}, gaps, part) for part in parts), strict=True))
    names = [tuple(data.draw(st.permutations(list(types)))[: data.draw(st.integers(0, len(types)))]) for types in views]
    assert fits(packings, layouts)
    reads = RowsTogether(packings, names, [packing.begin(stamp) for packing in packings], layouts)
    for longer in (b"", b"\0\0", b"x"):
        found = reads.read([string + longer for string in strings])
        assert found is not None
        assert [repr(row) for row in found] == [
            repr(packing.usual_one(row, stamp, some)) for packing, row, some in zip(packings, rows, names, strict=True)
        ]
    # Whatever is changed of what a row begins with, or cut off, it is not read.
    odd = data.draw(st.integers(0, len(strings) - 1))
    string, place = strings[odd], data.draw(st.integers(0, len(layouts[odd].views) - 1))
    size = packings[layouts[odd].views[place]].begin_size
    at = layouts[odd].spans[place].first + data.draw(st.integers(0, size - 1))
    for other in (
        string[:at] + bytes([string[at] ^ 1]) + string[at + 1 :],
        string[: data.draw(st.integers(0, len(string) - 1))],
    ):
        assert reads.read([*strings[:odd], other, *strings[odd + 1 :]]) is None


@given(VIEWS, st.data())
def test_spans_that_overlap_or_are_not_as_long_as_rows_do_not_fit(
    views: list[dict[str, ColumnType]], data: st.DataObject
) -> None:
    packings, numbers = [Packing(types, "one") for types in views], list(range(len(views)))
    _, (_, spans) = laid({n: bytes(packings[n].size) for n in numbers}, [3] * len(views), numbers)
    odd = data.draw(st.sampled_from(numbers))
    first, end = spans[odd]
    moved = data.draw(st.sampled_from([Span(first, end + 1), Span(first + 1, end), Span(first, first)]))
    assert fits(packings, [StringLayout(numbers, spans)])
    assert fits([*packings, packings[odd]], [StringLayout(numbers, spans), StringLayout([len(views)], (spans[odd],))])
    assert not fits(packings, [StringLayout(numbers, (*spans[:odd], moved, *spans[odd + 1 :]))])
    assert not fits([*packings, packings[odd]], [StringLayout([*numbers, len(views)], (*spans, spans[odd]))])
    text = Span(spans[-1].end, spans[-1].end + 17)
    assert not fits(
        [*packings, Packing({"s": "string"}, "one")], [StringLayout([*numbers, len(views)], (*spans, text))]
    )


def test_an_answer_is_made_where_it_is_looked_at() -> None:
    layouts = [StringLayout([0, 2], (Span(2, 4), Span(0, 2))), StringLayout([1], (Span(1, 3),))]
    answers = Together([None] * 3, layouts, [b"k", b"o"], [b"\0\0ab\0\0", b"xyz"])
    made = [Answer(None, {b"k": b"ab"}), Answer(None, {b"o": b"yz"}), Answer(None, {b"k": None})]
    assert list(answers) == made == answers
    assert answers != [*made[1:], made[0]]
    assert answers == Together([None] * 3, layouts, [b"k", b"o"], [b"\0\0ab", b"yyz"])
    assert (answers[-1], answers[-2], len(answers)) == (made[2], made[1], 3)
    assert [answers[1:], answers[:0]] == [made[1:], []]
    assert Together([None], [StringLayout([0], (Span(2, 4),))], [b"k"], [b""])[0] == made[2]
