"""Values of Asof's views as Feast's messages: each with its status and event timestamp, as `POST /get-online-features` says them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from feast import FeatureView as FeastView
from feast import utils
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from features.definitions.expressions import ColumnType
from features.definitions.requests import request_fields
from features.errors import InputError
from features.feast.tags import is_events, served_of
from features.serving.feast_columns import FeastColumns, columns_of
from features.serving.reader import Chosen, Lookups
from features.serving.served import Served, ViewColumns
from features.store.heads import STATUS
from features.store.values import Cell

__all__ = ["Asked", "Brought", "KeyColumns", "Vector", "asked_rows", "asked_vectors", "key_columns"]

Asked = tuple[FeastView, Sequence[str]]
"""A view and the names of what is asked of it."""

KeyColumns = Mapping[str, Sequence[Value]]
"""Key column to one value a row."""

Brought = Callable[[str], Sequence[object] | None]
"""The values of a request field, one a row; None: there is no such column."""

Vector = GetOnlineFeaturesResponse.FeatureVector
_FIELDS: dict[ColumnType, str] = {
    "string": "string_val", "int64": "int64_val", "float64": "double_val", "bool": "bool_val", "timestamp": "int64_val",
}  # fmt: skip
_STATUSES = dict(FieldStatus.items())
_NEVER, _NULL = Timestamp(), Value()
_MILLION = 1_000_000


def key_columns(view: FeastView, names: Mapping[str, str], given: KeyColumns) -> KeyColumns:
    """The key columns of a view, of all that were given.

    Args:
        view: one of Asof's, perhaps under other names of its key columns.
        names: entity name to key column, of the registry.
        given: key column, as the view or its other name has it, to values.

    Raises:
        KeyError: a key column was not given, as Feast raises it.
        InputError: the view is one through which events are pushed.
    """
    if is_events(view):
        msg = f"View {view.name!r} takes events in, and holds no values. Push to it, and ask the views that follow its source."
        raise InputError(msg)
    found: KeyColumns = utils._get_table_entity_values(view, dict(names), {k: list(v) for k, v in given.items()})  # noqa: SLF001 - as Feast's stores do
    lacking = sorted({*view.join_keys} - {*found})
    if lacking:
        msg = f"Missing join key values for keys: {lacking} of view {view.name!r}. Provided join_key_values: {list(given)}"
        raise KeyError(msg)
    return found


def asked_vectors(
    lookups: Lookups, asked: Sequence[Asked], keys: Sequence[KeyColumns], at: int, brought: Brought
) -> list[list[Vector]]:
    """One list a view, one vector a feature; all of one instant, in microseconds UTC, in one round trip where no key column has another name.

    Raises:
        InputError: a key is of a wrong type, a request field lacks or is of a wrong type, or a view has no lookups.
        NotLoadedError: a view was never loaded, or by another definition.
        MissingError: a view was registered by another version of Asof.
        BusyError: the store does not answer.
    """
    views = [(served_of(view), list(names)) for view, names in asked]
    found = _looked(lookups, asked, views, keys, at, brought)
    return [_vectors(served, names, column) for (served, names), column in zip(views, found, strict=True)]


def asked_rows(
    lookups: Lookups, view: FeastView, names: Sequence[str], keys: KeyColumns, at: int
) -> list[tuple[datetime | None, dict[str, Value] | None]]:
    """One a row: event timestamp and values; none of a key that was never seen. Errors as `asked_vectors` has them."""
    vectors = asked_vectors(lookups, [(view, names)], [keys], at, lambda _: None)[0]
    return [
        (None, None)
        if any(status == FieldStatus.NOT_FOUND for _, status, _ in cells)
        else (cells[0][2].ToDatetime(UTC), {name: value for name, (value, _, _) in zip(names, cells, strict=True)})
        for cells in zip(*(zip(v.values, v.statuses, v.event_timestamps, strict=True) for v in vectors), strict=True)
    ]


def _looked(
    lookups: Lookups,
    asked: Sequence[Asked],
    views: Sequence[tuple[Served, list[str]]],
    keys: Sequence[KeyColumns],
    at: int,
    brought: Brought,
) -> list[ViewColumns]:
    groups: dict[object, list[int]] = {}
    for place, (view, _) in enumerate(asked):
        # One key column may stand for two of a request, as origin and destination do: each is looked up by itself.
        groups.setdefault(tuple(sorted(view.projection.join_key_map.items())), []).append(place)
    made: dict[int, ViewColumns] = {}
    for places in groups.values():
        columns: dict[str, list[object]] = {
            name: [_plain(value) for value in values] for p in places for name, values in keys[p].items()
        }
        for name in request_fields(views[p][0].view for p in places):
            if name not in columns and (values := brought(name)) is not None:
                columns[name] = [_plain(value) if isinstance(value, Value) else value for value in values]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        chosen = [(views[p][0], [name for name in views[p][1] if name != STATUS]) for p in places]
        of = f"view {', '.join(served.view.name for served, _ in chosen)}"
        made.update(zip(places, lookups.look_up(Chosen(of, chosen), rows, at).views, strict=True))
    return [made[place] for place in range(len(asked))]


def _plain(value: Value) -> object:
    kind = value.WhichOneof("val")
    return None if kind is None else getattr(value, kind)


def _vectors(served: Served, names: Sequence[str], column: ViewColumns) -> list[Vector]:
    found: FeastColumns = columns_of(column, served.view.schedule.lag_us)
    times = [_NEVER if instant is None else _timestamp(instant) for instant in found.instants]
    made = dict[str, Vector]()
    for name, (values, statuses) in found.features.items():
        field = _FIELDS[served.types[name]]
        made[name] = Vector(
            values=[_NULL if value is None else _message(field, value) for value in values],
            statuses=[_STATUSES[status] for status in statuses],
            event_timestamps=times,
        )
    words = [Value(string_val=status) for status in column.statuses]
    made[STATUS] = Vector(values=words, statuses=[FieldStatus.PRESENT] * len(words), event_timestamps=times)
    return [made.get(name, Vector()) for name in names]


def _message(field: str, value: Cell) -> Value:
    message: Any = {field: value}
    return Value(**message)


def _timestamp(instant: int) -> Timestamp:
    seconds, rest = divmod(instant, _MILLION)
    return Timestamp(seconds=seconds, nanos=rest * 1000)
