"""A label file made ready for Spark: streamed once through Arrow, each row numbered, keys and instants checked. Never whole in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from features.definitions.expressions import ColumnType
from features.definitions.requests import request_fields
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.values.request_fields import typed_field
from features.values.sweep import ARROW_TYPES

__all__ = ["EVENT_TIMESTAMP", "Labels", "stage_labels"]

EVENT_TIMESTAMP = "event_timestamp"
"""The column of the asked instants, named as Feast names it."""

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A staged label file."""

    path: str
    """Parquet with the input's columns and `asof_row`, 0 to rows - 1 in the input's order."""

    rows: int
    columns: tuple[str, ...]
    """The input's own."""

    earliest: int
    """The earliest asked instant, in microseconds UTC."""

    latest: int
    """The latest one."""


def stage_labels(path: str, views: tuple[FeatureView, ...], staged: str, *, own: bool = False) -> Labels:
    """Copies a Parquet or CSV file to `staged`, key columns as their entities' types, request fields as their sources', instants as UTC microseconds.

    With `own` the file is one that Asof wrote, whose columns may be named as Asof's are.

    Raises:
        MissingError: there is no such file, or it lacks a key column, a request field or `event_timestamp`.
        InputError: an instant is null or without zone, a key or a request field is of a wrong type, or a column is there twice or is Asof's own.
    """
    if not Path(path).exists():
        msg = f"There is no label file {path}. Name a Parquet or CSV file with --labels."
        raise MissingError(msg)
    keys: dict[str, ColumnType] = {name: view.entity.type for view in views for name in view.keys}
    beside: dict[str, ColumnType] = dict(request_fields(views))
    request: dict[str, ColumnType] = {name: beside[name] for name in beside if name not in keys}
    schema, batches = _batches(path, keys, request)
    _refuse_columns(path, schema, [*keys, *request], own=own)
    rows, earliest, latest = 0, 2**63 - 1, -(2**63)
    kinds = {name: ARROW_TYPES[kind] for name, kind in (keys | request).items()} | {
        EVENT_TIMESTAMP: ARROW_TYPES["timestamp"]
    }
    fields = [field.with_type(kinds.get(field.name, field.type)) for field in schema]
    made = pa.schema([*fields, ("asof_row", pa.int64())])
    with pq.ParquetWriter(staged, made) as writer:
        for batch in batches:
            table = _checked(path, pa.Table.from_batches([batch]), keys, request, rows)
            numbered = table.append_column("asof_row", pa.array(np.arange(rows, rows + len(table))))
            writer.write_table(numbered.cast(made))
            rows += len(table)
            if len(table):
                edges = pc.min_max(table[EVENT_TIMESTAMP].cast(pa.int64())).as_py()
                earliest, latest = min(earliest, edges["min"]), max(latest, edges["max"])
    return Labels(path=staged, rows=rows, columns=tuple(schema.names), earliest=earliest, latest=latest)


def _batches(
    path: str, keys: Mapping[str, ColumnType], request: Mapping[str, ColumnType]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if path.endswith(".csv"):
        # Keys that are text stay as they are written: 007 is not 7. Only an empty field is null, as in ingested files.
        kinds = {name: pa.string() for name, kind in keys.items() if kind == "string"}
        kinds |= {name: ARROW_TYPES[kind] for name, kind in request.items()}
        options = csv.ConvertOptions(
            column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        try:
            reader = csv.open_csv(
                path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=options
            )
        except pa.ArrowInvalid as error:
            raise _no_csv(path, error) from error
        return reader.schema, _rest(path, reader)
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        msg = f"{path} is no Parquet file: {error}. Give a Parquet file, or a CSV file whose name ends with .csv."
        raise InputError(msg) from error
    return file.schema_arrow, file.iter_batches()


def _rest(path: str, reader: csv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except pa.ArrowInvalid as error:
        raise _no_csv(path, error) from error


def _no_csv(path: str, error: Exception) -> InputError:
    return InputError(
        f"{path} is no CSV file that can be read: {error}. Give one header row, as many fields in each row as it names, "
        "and values of one type in each column."
    )


def _refuse_columns(path: str, schema: pa.Schema, needed: Sequence[str], *, own: bool) -> None:
    if missing := [name for name in (*needed, EVENT_TIMESTAMP) if name not in schema.names]:
        msg = f"The label file {path} has no column {', '.join(missing)}. It needs {', '.join((*needed, EVENT_TIMESTAMP))}, and has {', '.join(schema.names)}."
        raise MissingError(msg)
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        msg = f"The label file {path} has the columns {', '.join(twice)} twice. Rename one of each."
        raise InputError(msg)
    if not own and (ours := [name for name in schema.names if name.startswith("asof_") or "__" in name]):
        msg = f"The label file {path} has the columns {', '.join(ours)}; names that begin with asof_ or hold __ are Asof's. Rename them."
        raise InputError(msg)


def _checked(
    path: str, table: pa.Table, keys: Mapping[str, ColumnType], request: Mapping[str, ColumnType], before: int
) -> pa.Table:
    table = _replace(table, EVENT_TIMESTAMP, _instants(path, table[EVENT_TIMESTAMP], before))
    for name, kind in keys.items():
        table = _replace(table, name, _keys(path, name, table[name], kind, before))
    for name, kind in request.items():
        table = _replace(table, name, typed_field(f"The label file {path}", name, table[name], kind))
    return table


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def _instants(path: str, values: pa.ChunkedArray, before: int) -> pa.ChunkedArray:
    kind = values.type
    remedy = (
        "Write instants with their zone, for instance 2026-01-02T10:00:00Z, or as a Parquet timestamp with a time zone."
    )
    if values.null_count and not pa.types.is_null(kind):
        raise InputError(
            f"{path}: {EVENT_TIMESTAMP} is null in {_rows(values.is_null(), before)}. A row without an instant has no values; leave it out."
        )
    if pa.types.is_string(kind):
        bad = pc.invert(pc.match_substring_regex(values, r"(Z|[+-]\d\d(:?\d\d)?)$"))
        if pc.any(bad).as_py():
            raise InputError(
                f"{path}: {EVENT_TIMESTAMP} has no zone, or is no timestamp, in {_rows(bad, before)}. {remedy}"
            )
        try:
            return values.cast(ARROW_TYPES["timestamp"])
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: {EVENT_TIMESTAMP}: {error}. {remedy}") from error
    if not pa.types.is_timestamp(kind):
        raise InputError(f"{path}: {EVENT_TIMESTAMP} is {kind}, not a timestamp. {remedy}")
    if kind.tz is None:
        raise InputError(f"{path}: {EVENT_TIMESTAMP} has no zone. {remedy}")
    return values.cast(ARROW_TYPES["timestamp"], safe=False)


def _keys(path: str, name: str, values: pa.ChunkedArray, kind: str, before: int) -> pa.ChunkedArray:
    wanted = ARROW_TYPES[kind]
    if values.type == wanted or pa.types.is_null(values.type):
        return values.cast(wanted)
    if pa.types.is_dictionary(values.type):  # pandas' categories
        values = values.cast(values.type.value_type)
        return _keys(path, name, values, kind, before)
    integers = pa.types.is_integer(values.type)
    if (kind == "string" and (integers or pa.types.is_large_string(values.type))) or (kind == "int64" and integers):
        return values.cast(wanted)
    if kind == "int64" and pa.types.is_string(values.type):
        bad = pc.fill_null(pc.invert(pc.match_substring_regex(values, r"^-?\d{1,18}$")), False)
        if not pc.any(bad).as_py():
            return values.cast(wanted)
        raise InputError(
            f"{path}: key {name} is no integer in {_rows(bad, before)}. Correct those rows, or leave the key empty."
        )
    raise InputError(f"{path}: key {name} is {values.type}, its entity has {kind}. Write the column as {kind}.")


def _rows(bad: pa.ChunkedArray, before: int) -> str:
    places = np.flatnonzero(np.asarray(pc.fill_null(bad, False).combine_chunks().to_numpy(zero_copy_only=False)))
    shown = ", ".join(str(before + int(place) + 1) for place in places[:_SHOWN])
    return f"{len(places)} row(s): {shown}{' …' if len(places) > _SHOWN else ''}"
