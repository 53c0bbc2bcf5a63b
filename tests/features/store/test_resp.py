"""Commands packed by hand are what a client library packs."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import Connection

from features.definitions.expressions import ColumnType
from features.store.resp import command, commands_in, fields_and_values
from features.store.values import ARROW, encode

OF: dict[ColumnType, st.SearchStrategy[object]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=300), "int64": st.integers(-(2**63), 2**63 - 1), "float64": st.floats(),
    "bool": st.booleans(), "timestamp": st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
}  # fmt: skip


def packed(*arguments: bytes) -> bytes:
    """By redis-py."""
    library: Any = Connection
    made: bytes = b"".join(library().pack_command(*arguments))
    return made


@pytest.mark.parametrize("arguments", [(b"GET", b"a"), (b"HSET", b"", b"\r\n$3", b"x" * 1000, b"\0\xff")])
def test_a_command_is_what_redis_py_packs(arguments: tuple[bytes, ...]) -> None:
    assert command(*arguments) == packed(*arguments)
    assert list(commands_in(command(*arguments) * 2)) == [list(arguments)] * 2


@given(st.data(), st.lists(st.sampled_from([*OF]), min_size=1, max_size=6), st.booleans())
def test_fields_and_values_of_every_kind_are_as_feast_writes_them(
    data: st.DataObject, kinds: list[ColumnType], whole: bool  # noqa: FBT001 - hypothesis'
) -> None:  # fmt: skip
    rows = data.draw(st.integers(1, 4))
    named = []
    for n, kind in enumerate(kinds):
        values = st.lists(OF[kind] if whole else st.none() | OF[kind], min_size=rows, max_size=rows)
        named.append((b"f%d" % n, pa.array(data.draw(values), ARROW[kind]), kind))
    made = fields_and_values(named)
    cells = [encode(column, kind) for _, column, kind in named]
    for row in range(rows):
        arguments = [part for (name, _, _), column in zip(named, cells, strict=True) for part in (name, column[row])]
        assert b"*%d\r\n" % len(arguments) + made[row] == packed(*arguments)
