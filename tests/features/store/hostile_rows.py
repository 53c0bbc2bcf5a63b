"""A view with every type and a composite key, rows of the values that go wrong first, and Feast's own writer and reader for them."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from features import Catalog, Entity, FeatureView, Field, Source, attribute
from features.definitions.compiled import hash_of
from features.definitions.entities import KeyType
from features.definitions.expressions import ColumnType
from features.definitions.names import utc
from features.feast.registry import apply
from features.settings import load
from features.store.packed import Packing, Unpacked
from features.store.reads import Answer
from features.store.values import ARROW
from tests.feast_client import own_client

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
HOUR = 3_600_000_000
CUT = 20_454 * 24 * HOUR  # 2026-01-01
KINDS: dict[str, ColumnType] = {"s": "string", "i": "int64", "f": "float64", "b": "bool", "t": "timestamp"}


def make_view(
    name: str = "odd",
    *,
    type: KeyType = "string",  # noqa: A002 - as Field calls it
    keys: tuple[str, ...] = ("z_key", "a_key"),
    features: str = "s i f b t",
) -> FeatureView:
    """Attributes of every type; the key columns are not in the order of their names."""
    columns = (
        *(Field(name=key, type=type) for key in keys), *(Field(name=column, type=kind) for column, kind in KINDS.items()),
        Field(name="event_time", type="timestamp"),
    )  # fmt: skip
    source = Source(name=f"{name}_changes", table=f"raw.{name}", columns=columns, kind="changes")
    entity = Entity(name=f"{name}_entity", keys=keys, type=type)
    return FeatureView(
        name=name,
        entity=entity,
        source=source,
        features=tuple(attribute(feature) for feature in features.split()),
        owner="me",
    )


def hostile(view: FeatureView) -> pa.RecordBatch:
    """Nulls, extremes, unicode, text longer than one length byte, keys that differ only by where they are split."""
    text = ["", "ä€😀", "x" * 127, "y" * 128, "z" * 300, None, "1", "12"]
    values = {
        "s": text,
        "i": [0, -1, LOWEST, HIGHEST, 127, None, 128, 1 << 35],
        "f": [0.0, -1.5, float("inf"), float("-inf"), 5e-324, None, 0.1, 1.7976931348623157e308],
        "b": [True, False, True, False, True, None, False, True],
        "t": [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 1, 0, 0, 0, 1, UTC), datetime(1, 1, 1, tzinfo=UTC),
              datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1970, 1, 1, tzinfo=UTC), None, datetime(2024, 2, 29, tzinfo=UTC),
              datetime(2026, 1, 1, tzinfo=UTC)],
    }  # fmt: skip
    keys: dict[str, list[object]] = {
        "string": ["1", "12", "", "ä€😀", "a\x00b", "k" * 300, ":", "__"],
        "int64": [0, -1, LOWEST, HIGHEST, 1, 256, -256, 42],
    }
    columns = {key: pa.array(keys[view.entity.type], ARROW[view.entity.type]) for key in view.keys}
    if len(view.keys) > 1 and view.entity.type == "string":
        columns[view.keys[0]] = pa.array(["23", "3", "ä", "", "x", "y", ":", "z"])
    columns |= {name: pa.array(values[name], ARROW[kind]) for name, kind in view.types.items()}
    return pa.RecordBatch.from_pydict({**columns, "asof_status": pa.array(["ok"] * 7 + ["overflow"])})


def dump(path: Path, table: str) -> list[tuple[object, ...]]:
    """Every cell of one of Feast's tables."""
    columns = "entity_key, feature_name, value, value_text, vector_value, event_ts, created_ts"
    with sqlite3.connect(path) as db:
        return sorted(db.execute(f'SELECT {columns} FROM "{table}"'))  # noqa: S608 - ours


def rows_for_feast(
    view: FeatureView, batch: pa.RecordBatch, instant: int
) -> list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]:
    """As Feast's writers take them, made of Feast's own messages by Feast's own conversion."""
    types = {
        "string": ValueType.STRING,
        "int64": ValueType.INT64,
        "float64": ValueType.DOUBLE,
        "bool": ValueType.BOOL,
        "timestamp": ValueType.INT64,
    }
    kinds = {**view.types, "asof_status": "string"}
    columns = {
        name: python_values_to_proto_values(
            (batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)).to_pylist(),
            types[kind],
        )
        for name, kind in kinds.items()
    }
    keys = {
        name: python_values_to_proto_values(batch.column(name).to_pylist(), types[view.entity.type])
        for name in view.keys
    }
    return [
        (EntityKey(join_keys=list(view.keys), entity_values=[keys[name][row] for name in view.keys]),
         {name: column[row] for name, column in columns.items()}, utc(instant), None)
        for row in range(batch.num_rows)
    ]  # fmt: skip


def feast_writes(home: Path, view: FeatureView, batch: pa.RecordBatch, instant: int) -> None:
    """The same rows through Feast's own SQLite writer, into a store of its own."""
    settings = load(home=home)
    apply(Catalog(views=(view,)), settings)
    store = own_client(settings.feast)
    table = store.get_feature_view(view.name)
    store._get_provider().online_write_batch(store.config, table, rows_for_feast(view, batch, instant), None)


def feast_view(repository: Path, view: FeatureView, batch: pa.RecordBatch) -> dict[str, list[object]]:
    """What a stock client answers for these keys, by full name."""
    store = own_client(repository)
    names = [*view.types, "asof_status"]
    entities = [{name: batch.column(name)[row].as_py() for name in view.keys} for row in range(batch.num_rows)]
    return store.get_online_features(
        [f"{view.name}:{name}" for name in names], entities, full_feature_names=True
    ).to_dict()


def unpacked(view: FeatureView, answer: Answer, *keys: bytes) -> Unpacked:
    """The packed rows of these keys, or of all that were answered."""
    packing = Packing(view.types, hash_of(view))
    rows = [row for key in keys or answer.rows if (row := answer.rows[key]) is not None]
    assert all(packing.fitting(rows))
    return packing.unpack(rows)
