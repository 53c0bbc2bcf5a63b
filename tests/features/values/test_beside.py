"""What rows beside states add, section by section; what a section does not take never counts."""

import numpy as np
import pyarrow as pa
import pytest

from features import (
    Entity,
    EventFreshness,
    FeatureView,
    Source,
    col,
    count,
    distinct,
    fields,
    flat,
    max_,
    std,
    sum_,
    time_since_last,
)
from features.values.columns import numbers
from features.values.state import kernels
from features.values.state.beside import aside, joined
from features.values.state.blocks import Block, LazyColumns
from features.values.state.pack import identity, ordinal
from features.values.state.program import Program, program_of

SALES = Source(
    name="s", table="raw.s", event_id="id",
    columns=(*fields("string", "id card"), *fields("int64", "amount"), *fields("float64", "weight"), *fields("timestamp", "event_time")),
)  # fmt: skip
LARGE, SMALL = col("amount") >= 7, col("amount") < 7
VIEW = FeatureView(
    name="v", entity=Entity(name="card", keys=("card",)), source=SALES, freshness=EventFreshness(), remember="1d",
    features=flat((count("1h"), count("1h", where=LARGE, suffix="large"), count("1h", where=SMALL, suffix="small"), sum_("amount", "1h"), std("amount", "2h", where=LARGE, suffix="large"), max_("weight", "1h"),
                   distinct("weight", "1h", limit=3), time_since_last("1h"))),
)  # fmt: skip
OTHER = FeatureView(
    name="w", entity=Entity(name="card", keys=("card",)), source=SALES, freshness=EventFreshness(), remember="1d",
    features=flat((count("1h"), sum_("amount", "1h"))),
)  # fmt: skip
ROWS = Block(
    key=np.array([0, 0, 0, 2]), time=np.array([10, 20, 30, 40]), since=np.array([11, 21, 31, 41]),
    columns={"amount": pa.array([None, 5, 7, 9]), "weight": pa.array([float("nan"), -1.5, None, 2.5])},
)  # fmt: skip
NEVER = 2**63 - 1
Found = dict[tuple[str, str, str | None], tuple[list[int], list[list[int]]]]


def taken(program: Program, made: kernels.Aside, view: int, state: int, slots: int, rows: int) -> Found:
    """By kind, condition and column: from when each row of a state counts, and what it adds of the words that the section has."""
    found: Found = {}
    for place, section in enumerate(program.sections_of(view)):
        slot = slots + state * len(program.sections_of(view)) + place
        some = slice(int(made.begin[slot]), int(made.end[slot]))
        assert made.times[some].tolist() == ROWS.time[ROWS.key == state].tolist()[:rows]
        words = made.more[: max(section.width, 1), some].T.tolist()
        found[section.kind, section.condition, section.column] = made.since[some].tolist(), words
    return found


def test_each_section_takes_what_meets_its_condition_and_has_a_value() -> None:
    program, sections = program_of((VIEW,)), len(program_of((VIEW,)).sections)
    made = aside(program, [ROWS], np.arange(3) * sections, np.array([0, 3]), 3 * sections)
    found = taken(program, made, 0, 0, 0, 3)
    large = repr(LARGE)
    assert found["counted", "None", None] == ([11, 21, 31], [[1], [1], [1]])
    assert found["counted", large, None] == ([NEVER, NEVER, 31], [[1], [1], [1]])
    assert found["counted", repr(SMALL), None] == ([NEVER, 21, NEVER], [[1], [1], [1]])
    assert found["newest", "", None] == ([11, 21, 31], [[10], [20], [30]])
    since, words = found["counted", "None", "amount"]
    assert (since, words[1:]) == ([NEVER, 21, 31], [[1, 0, 5], [1, 0, 7]])
    since, words = found["counted", large, "amount"]
    assert (since, words[2][:5]) == ([NEVER, NEVER, 31], [1, 0, 7, 49, 0])
    weight = pa.array([-1.5])
    assert found["largest", "None", "weight"][0] == found["distinct", "None", "weight"][0] == [NEVER, 21, NEVER]
    assert found["largest", "None", "weight"][1][1] == ordinal(weight).tolist()
    assert found["distinct", "None", "weight"][1][1] == identity(weight).tolist()
    assert all(since == [] for since, _ in taken(program, made, 0, 1, 0, 0).values()), "the second has none"
    assert taken(program, made, 0, 2, 0, 1)["counted", large, "amount"][0] == [41]


def test_views_have_their_own_rows_and_one_without_has_none() -> None:
    program = program_of((VIEW, OTHER))
    first, second = len(program.sections_of(0)), len(program.sections_of(1))
    slot = np.array([0, first, first + second])
    nothing = program.no_rows[1][0]
    made = aside(program, [nothing, ROWS.at(np.array([2]))], slot[:2], np.array([0, 1, 2]), first + second)
    assert (made.begin[:first] == made.end[:first]).all()
    assert (made.end[first:] - made.begin[first:]).tolist() == [1] * second
    assert aside(program, [nothing, nothing], slot[:2], np.array([0, 1, 2]), first + second) is kernels.NOTHING


def test_a_column_of_several_views_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pa.Array] = []

    def counted(column: pa.Array) -> np.ndarray:
        seen.append(column)
        return numbers(column)

    monkeypatch.setattr("features.values.state.beside.numbers", counted)
    program = program_of((OTHER, OTHER))
    sections = len(program.sections_of(0))
    aside(program, [ROWS, ROWS], np.arange(6) * sections, np.array([0, 3, 6]), 6 * sections)
    assert len(seen) == 1


def test_what_is_joined_is_in_the_order_of_keys_and_instants() -> None:
    one, two = ROWS.at(np.array([1, 3])), ROWS.at(np.array([0, 2]))
    both = joined(one, two)
    assert (both.key.tolist(), both.time.tolist(), both.since.tolist()) == ([0, 0, 0, 2], [10, 20, 30, 40], [11, 21, 31, 41])  # fmt: skip
    assert both.columns["amount"].to_pylist() == [None, 5, 7, 9]
    assert joined(one, ROWS.at(np.zeros(0, np.int64))) is one
    assert joined(ROWS.at(np.zeros(0, np.int64)), two) is two


def test_a_column_is_made_once_where_somebody_looks_at_it() -> None:
    made: list[str] = []

    def make(name: str) -> pa.Array:
        made.append(name)
        return pa.array([name])

    columns = LazyColumns(("a", "b"), make)
    assert (list(columns), len(columns), "b" in columns, made) == (["a", "b"], 2, True, ["b"])
    assert columns["a"] is columns["a"]
    assert made == ["b", "a"]
    with pytest.raises(KeyError):
        columns["c"]
