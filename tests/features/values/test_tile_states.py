"""States in tiles: of rows in any order, joined in any order, the same value; and values behind what orders them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.aggregations.aggregation import Ends
from features.definitions.expressions import ColumnType
from features.definitions.features import Aggregate
from features.definitions.tiling import Held
from features.definitions.windows import Window
from features.values.ordered import packed, unpacked
from features.values.sweep import ARROW_TYPES
from features.values.tile_states import finished, folded, joined
from tests import oracle_aggregations as meant

STEP = 60_000_000
ENDS = Ends(10 * STEP, 0, 10 * STEP)
GIVEN: dict[str, tuple[float, ...]] = {
    "distinct": (3,), "distinct_sketch": (4,), "quantile": (0.5, 0.1), "trend": (STEP,), "burst": (STEP,), "entropy": (), "time_since_last_k": (2,),
}  # fmt: skip
NAMES = sorted(name for name, item in AGGREGATIONS.items() if item.tiles is not None)
Item = tuple[int, int]


def feature(name: str) -> Aggregate:
    aggregation = AGGREGATIONS[name]
    parameters = tuple((part.name, value) for part, value in zip(aggregation.parameters, GIVEN[name], strict=True)
                       if not isinstance(part, str))  # fmt: skip
    window = Window("10m", step="1m" if aggregation.stepped else None)
    column = "n" if aggregation.takes else None
    return Aggregate(name=name, operation=name, window=window, column=column, limit=3, parameters=parameters)


def held(name: str) -> Held:
    return Held(name, AGGREGATIONS[name].kept(feature(name).arguments(AGGREGATIONS[name])))


def of(name: str, groups: list[list[Item]]) -> pa.Array:
    """A state of each group's rows."""
    group = np.repeat(np.arange(len(groups)), [len(items) for items in groups])
    items = [item for part in groups for item in part]
    inputs = [pa.array([value for _, value in items], pa.int64())] if AGGREGATIONS[name].takes else []
    return folded(held(name), "int64", group, np.array([time for time, _ in items], np.int64), inputs, len(groups))


def value(name: str, states: pa.Array) -> list[Any]:
    found, valid = finished(feature(name), "int64", states, ENDS)
    return [one if ok else None for one, ok in zip(found.tolist(), valid.tolist(), strict=True)]


def truth(name: str, items: list[Item]) -> Any:
    if name == "distinct":
        return min(len({number for _, number in items}), 3)
    asked = meant.Asked(ENDS.anchor, ENDS.lower, ENDS.upper, STEP, dict(feature(name).parameters))
    return meant.AGGREGATIONS[name](sorted((time, (number,)) for time, number in items), asked)


items = st.lists(
    st.tuples(st.integers(0, 10 * STEP - 1), st.sampled_from([0, 1, 2, 3, -7, 40, 2**62, -(2**63)])), max_size=12
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(parts=st.lists(items, min_size=1, max_size=4), data=st.data())
def test_any_order_of_rows_and_of_states_gives_the_same(
    name: str, parts: list[list[Item]], data: st.DataObject
) -> None:
    whole = [item for part in parts for item in part]
    states = of(name, parts)
    order = data.draw(st.permutations(range(len(parts))))
    at_once = joined(held(name), "int64", states.take(pa.array(order)), np.zeros(len(parts), np.int64), 1)
    expected, (found,) = truth(name, whole), value(name, at_once)
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-12))
    # Two by two, as Spark's tasks do, the bytes are the same: the number of rows and the words are.
    some = np.arange(len(parts)) % 2
    halves = joined(held(name), "int64", states, some, 2)
    assert joined(held(name), "int64", halves, np.zeros(2, np.int64), 1).equals(at_once)
    assert value(name, of(name, [data.draw(st.permutations(whole))])) == value(name, at_once)
    assert len(parts) > 1 or at_once.equals(states)


def test_a_distinct_is_exact_up_to_its_limit_and_saturates_there() -> None:
    parts = [[(0, 1), (0, 2)], [(0, 2)], [(0, 3), (0, 4)], []]
    states = of("distinct", parts)
    assert value("distinct", states) == [2, 1, 2, 0]
    merged = joined(held("distinct"), "int64", states, np.array([0, 0, 1, 1]), 2)
    assert value("distinct", merged) == [2, 2]
    assert value("distinct", joined(held("distinct"), "int64", merged, np.zeros(2, np.int64), 1)) == [3]


def test_no_rows_are_null_and_finish_as_empty() -> None:
    for name in NAMES:
        states = of(name, [[], []])
        assert states.to_pylist() == [None, None]
        assert joined(held(name), "int64", states, np.array([0, 1]), 2).to_pylist() == [None, None]
        assert value(name, states) == [0 if AGGREGATIONS[name].empty == "0" else None] * 2
        assert len(joined(held(name), "int64", states.slice(2), np.zeros(0, np.int64), 0)) == 0


def test_many_states_are_unpacked_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [[(n, n), (n, n + 1)] for n in range(50)]
    meant_states = of("distinct_sketch", parts)
    monkeypatch.setattr("features.values.tile_states._AT_ONCE", 40)
    assert of("distinct_sketch", parts).equals(meant_states)
    assert joined(held("distinct_sketch"), "int64", meant_states, np.arange(50), 50).equals(meant_states)
    assert value("distinct_sketch", meant_states) == [truth("distinct_sketch", part) for part in parts]


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\x01\x05", b"\x02\x01\x01\x7f\x01\x02", b"\x01\x00\x00"])
def test_bytes_that_are_no_state_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match="A state in a tile is no state that Asof wrote"):
        value("distinct", pa.array([damage], pa.binary()))


def test_features_share_a_state_whatever_finish_alone_looks_at() -> None:
    assert held("quantile") == Held("quantile", (0.0, 0.1))
    assert held("distinct") == Held("distinct", (3,))


VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "string": st.text(st.sampled_from("\x00\x01aé\U0001f600"), max_size=4), "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0), "bool": st.booleans(),
    "timestamp": st.integers(-(10**15), 10**15),
}  # fmt: skip


@settings(max_examples=150)
@given(kind=st.sampled_from(sorted(VALUES)), ids=st.sampled_from(["string", "int64", None]), data=st.data())
def test_bytes_are_ordered_as_rows_are_and_give_the_value_back(
    kind: ColumnType, ids: ColumnType | None, data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from([-(2**63), -1, 0, 2**63 - 1]), VALUES[ids or kind], VALUES[kind]), max_size=8
        )
    )
    rows = [(time, event if ids else one, one) for time, event, one in rows]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    values = pa.array(columns[2], ARROW_TYPES[kind])
    made = packed(np.array(columns[0], np.int64), pa.array(columns[1], ARROW_TYPES[ids]) if ids else None, values)
    order = sorted(range(len(rows)), key=lambda n: (rows[n][:2], n))
    assert (
        sorted(
            range(len(rows)), key=lambda n: (made[n].as_py() if not ids else made[n].as_py()[: _length(rows[n][1])], n)
        )
        == order
    )
    places = pa.array([None, *range(len(rows)), None], pa.int64())
    assert unpacked(made.take(places), ids, kind).cast(values.type).equals(values.take(places))


def _length(event: Any) -> int:
    """Bytes of the instant and the event id: what comes behind them decides nothing among rows of different events."""
    return 16 if isinstance(event, int) else 8 + len(event.encode().replace(b"\x00", b"\x00\xff")) + 2
