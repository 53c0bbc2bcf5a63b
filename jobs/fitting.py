"""Raw rows in Spark become fitted rows with their ds, beside those that do not fit with the reason. One pass, in Arrow."""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.durations import DAY
from features.definitions.sources import Source
from features.values.fit import fit, fitted_schema, known_at
from features.values.sweep import ARROW_TYPES
from jobs import tables

__all__ = ["NO_DAY", "fitted", "fitted_columns", "fitted_table", "from_the_day_before", "table_of_the_day_before"]

NO_DAY = "unknown"
"""The ds in quarantine of a row that neither its folder nor its time places."""

_OWN = ["asof_input_ds", "asof_broken"]


def fitted(source: Source, raw: DataFrame, only: date | None) -> DataFrame:
    """Good rows with their ds and known_at; the others with a reason and the row as JSON; both in one table.

    A row that lies in a folder ds=… of a later day than its known_at is known from that day on: no partition of an earlier day could
    hold it. `asof_raised` counts these. One that became known the day after its folder's comes with that day, a later one does not fit.
    """
    compiled = compile_definition(source)
    wanted = None if only is None else str(only)

    def made(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        for batch in batches:
            yield from _fitted(here, pa.Table.from_batches([batch]), wanted)

    return raw.mapInArrow(made, fitted_columns(source))


def fitted_table(source: Source, raw: pa.Table, only: date | None) -> pa.Table:
    """What `fitted` gives, of rows that are here."""
    return _together(source, _fitted(source, raw, None if only is None else str(only)))


def from_the_day_before(source: Source, raw: DataFrame, only: date) -> DataFrame:
    """Of the folder of the day before, the good rows that became known on the day that is wanted."""
    compiled = compile_definition(source)

    def made(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        here = load_definition(compiled, Source)
        for batch in batches:
            yield from _of_the_day_before(here, pa.Table.from_batches([batch]), only)

    return raw.mapInArrow(made, fitted_columns(source))


def table_of_the_day_before(source: Source, raw: pa.Table, only: date) -> pa.Table:
    """What `from_the_day_before` gives, of rows that are here."""
    return _together(source, _of_the_day_before(source, raw, only))


def _of_the_day_before(source: Source, table: pa.Table, only: date) -> Iterator[pa.RecordBatch]:
    table = table.filter(pc.is_null(table["asof_broken"]))
    later = pc.greater_equal(known_at(source, table).cast(pa.int64()), _start(str(only)))
    table = table.filter(pc.fill_null(later, False))
    for part in _fitted(source, table, str(only)):
        if len(part):
            yield part.filter(pc.is_null(part["asof_reason"]))


def _together(source: Source, parts: Iterable[pa.RecordBatch]) -> pa.Table:
    own = [(name, pa.string()) for name in ("ds", "asof_reason", "asof_row")]
    counts = [(name, pa.int64()) for name in ("asof_cleared", "asof_raised")]
    schema = pa.schema([*fitted_schema(source), *own, *counts, ("asof_folder", pa.string())])
    return pa.concat_tables([
        schema.empty_table(), *(pa.Table.from_batches([part]).select(schema.names).cast(schema) for part in parts),
    ])  # fmt: skip


def fitted_columns(source: Source) -> str:
    """Spark schema of fitted rows."""
    columns = {column.name: tables.HIVE_TYPES[column.stored] for column in source.columns}
    listed = ", ".join(f"`{name}` {kind}" for name, kind in {**columns, "asof_known_at": "timestamp"}.items())
    return f"{listed}, ds string, asof_reason string, asof_row string, asof_cleared bigint, asof_raised bigint, asof_folder string"


def _fitted(source: Source, table: pa.Table, wanted: str | None) -> Iterator[pa.RecordBatch]:
    # First: the fields that Spark could read of a broken row may fit by chance.
    broken = table.filter(pc.is_valid(table["asof_broken"]))
    yield from _refused(broken, broken["asof_broken"].to_pylist(), source, wanted)
    table = table.filter(pc.is_null(table["asof_broken"])).combine_chunks()
    found = fit(source, table.drop_columns(_OWN))
    bad = sorted(found.reasons)
    good = pa.array([n not in found.reasons for n in range(len(table))], pa.bool_()) if bad else None
    folders = table["asof_input_ds"] if good is None else table["asof_input_ds"].filter(good)
    rows, ahead = _placed(found.rows, folders)
    there = (
        folders.filter(pc.invert(pc.is_in(pa.array(range(len(folders)), pa.int64()), ahead))) if len(ahead) else folders
    )
    rows = rows.append_column("asof_folder", there)
    yield from _padded(rows if wanted is None else rows.filter(pc.equal(rows["ds"], wanted)), cleared=found.cleared)
    yield from _refused(table.take(pa.array(bad, pa.int64())), [found.reasons[n] for n in bad], source, wanted)
    if len(ahead):
        kept = table if good is None else table.filter(good)
        name = source.known_at or source.event_time
        known = [value.as_py() for value in found.rows["asof_known_at"].take(ahead)]
        reasons = [
            f"{name}: the row became known at {at.isoformat()}, more than a day after the folder ds={ds} that it lies in"
            for at, ds in zip(known, folders.take(ahead).to_pylist(), strict=True)
        ]
        yield from _refused(kept.take(ahead), reasons, source, wanted)


def _start(ds: str) -> int:
    return (date.fromisoformat(ds) - date(1970, 1, 1)).days * DAY


def _placed(rows: pa.Table, folders: pa.ChunkedArray) -> tuple[pa.Table, pa.Array]:
    """Rows with their ds, known no earlier than their folder's day begins; and the numbers of those known more than a day after it."""
    known = rows["asof_known_at"].cast(pa.int64())
    starts = {ds: _start(ds) for ds in folders.unique().to_pylist() if ds is not None}
    if not starts:
        raised = pa.nulls(len(rows), pa.int64()).fill_null(0)
        return _with_ds(rows, raised), pa.array([], pa.int64())
    start = pc.take(
        pa.array([*starts.values(), None], pa.int64()),
        pc.fill_null(pc.index_in(folders, pa.array(list(starts))), len(starts)),
    )
    late = pc.fill_null(pc.less(known, start), False)
    known = pc.if_else(late, start, known)
    far = pc.fill_null(pc.greater_equal(known, pc.add(start, 2 * DAY)), False).combine_chunks()
    place = rows.schema.get_field_index("asof_known_at")
    rows = rows.set_column(place, "asof_known_at", known.cast(ARROW_TYPES["timestamp"]))
    return _with_ds(rows, late.cast(pa.int64())).filter(pc.invert(far)), pc.indices_nonzero(far).cast(pa.int64())


def _with_ds(rows: pa.Table, raised: pa.Array | pa.ChunkedArray) -> pa.Table:
    ds = pc.strftime(rows["asof_known_at"], format="%Y-%m-%d")
    return rows.append_column("ds", ds).append_column("asof_raised", raised)


def _padded(rows: pa.Table, *, cleared: int) -> Iterator[pa.RecordBatch]:
    empty = pa.nulls(len(rows), pa.string())
    counts = [cleared] + [0] * (len(rows) - 1) if len(rows) else []
    raised, folder = rows["asof_raised"], rows["asof_folder"]
    rows = (
        rows.drop_columns(["asof_raised", "asof_folder"])
        .append_column("asof_reason", empty)
        .append_column("asof_row", empty)
        .append_column("asof_cleared", pa.array(counts, pa.int64()))
        .append_column("asof_raised", raised)
        .append_column("asof_folder", folder)
    )
    yield from rows.combine_chunks().to_batches()


def _refused(rows: pa.Table, reasons: list[str], source: Source, wanted: str | None) -> Iterator[pa.RecordBatch]:
    if not len(rows):
        return
    ds = [found or wanted or NO_DAY for found in rows["asof_input_ds"].to_pylist()]
    shown = [json.dumps(row, default=str, sort_keys=True) for row in rows.drop_columns(_OWN).to_pylist()]
    columns: dict[str, Any] = {c.name: pa.nulls(len(rows), ARROW_TYPES[c.stored]) for c in source.columns}
    nothing = pa.array([0] * len(rows), pa.int64())
    columns |= {
        "asof_known_at": pa.nulls(len(rows), ARROW_TYPES["timestamp"]), "ds": ds, "asof_reason": reasons, "asof_row": shown,
        "asof_cleared": nothing, "asof_raised": nothing, "asof_folder": rows["asof_input_ds"],
    }  # fmt: skip
    yield from pa.table(columns).to_batches()
