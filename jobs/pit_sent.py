"""As-of joins of asks that are few enough to be sent to the files: nothing is shuffled. No Spark, no Feast.

Each task finds the newest row of its own files for every ask, the driver the newest of those, and tasks read the columns of the rows that won. A row is a file's number and a place in it until the join is done, as in `jobs.pit_files`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.values.sorting import order_by
from jobs.pit import CREATED, ROW, TIME, Batches, Reading, blob, created_of, newest
from jobs.pit_files import AT, FILE, Files, given, narrowed, runs, taken
from jobs.workers import settle

__all__ = ["Sent", "candidates", "chosen", "columns", "few_enough", "of_units", "sent"]

_ASKS = 1_000_000
"""So many asks are sent at most: 12 MB, and the values of keys that are text."""
_CANDIDATES = 16_000_000
"""Asks times tasks, at most: a task may answer every ask, with 28 bytes each that come to the driver."""
_ASK = "asof_ask"
Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """A key column of the asks together with those before it."""

    values: pa.Array
    """Of this column, each once."""

    codes: Array
    """Of each combination that is asked for: the place of what comes before, times the number of values, plus the value's place. Sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Asks as tasks meet them: sorted by key and instant."""

    levels: tuple[_Level, ...]
    key: Array
    """int32 an ask: the place of its keys in the last level's codes; 0 where there is no key column."""

    time: Array
    """Microseconds UTC."""

    row: Array
    """The `asof_row` of each ask."""


def few_enough(asks: int, files: Files) -> bool:
    """Whether so many asks are sent."""
    return asks <= _ASKS and asks * len(files.units) <= _CANDIDATES


def sent(asks: pa.Table, keys: int) -> Sent:
    """Asks (`k0` …, `asof_time`, `asof_row`; no key is null) made ready."""
    levels, key = list[_Level](), np.zeros(len(asks), np.int64)
    for n in range(keys):
        encoded = asks[f"k{n}"].combine_chunks().dictionary_encode()
        mixed = key * len(encoded.dictionary) + np.asarray(encoded.indices)
        codes, key = np.unique(mixed, return_inverse=True)
        levels.append(_Level(values=encoded.dictionary, codes=codes))
    time = np.asarray(asks[TIME]).astype(np.int64, copy=False)
    order = order_by(key.astype(np.int64, copy=False), time)
    row = np.asarray(asks[ROW])[order]
    return Sent(levels=tuple(levels), key=key[order].astype(np.int32), time=time[order], row=row)


def _keys(rows: pa.Table, asks: Sent) -> Array:
    """int64 a row: the place of its keys among those asked for, -1 where it is not there."""
    key = np.zeros(len(rows), np.int64)
    for n, level in enumerate(asks.levels):
        place = pc.fill_null(pc.index_in(rows[f"k{n}"].combine_chunks(), level.values), -1)
        mixed = key * len(level.values) + np.asarray(place)
        found = np.minimum(np.searchsorted(level.codes, mixed), len(level.codes) - 1)
        key = np.where((key >= 0) & (np.asarray(place) >= 0) & (level.codes[found] == mixed), found, -1)
    return key


def candidates(files: Files, reading: Reading, asks: Sent) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of units: `data`, a blob of each unit's newest row for every ask that it has one for.

    Args:
        files: the source.
        reading: how it is read.
        asks: at least one.
    """

    def nearest(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        for unit in (number for batch in batches for number in batch["id"].to_pylist()):
            if rows := list(narrowed(files, unit)):
                found = _nearest(pa.Table.from_batches(rows).combine_chunks(), reading, asks)
                yield pa.RecordBatch.from_pydict({"data": [blob(found)]})

    return nearest


def _nearest(rows: pa.Table, reading: Reading, asks: Sent) -> pa.RecordBatch:
    key = _keys(rows, asks)
    if not (key >= 0).all():
        rows, key = rows.filter(pa.array(key >= 0)).combine_chunks(), key[key >= 0]
    created = created_of(rows[CREATED]) if reading.created else None
    at = newest(
        (key, np.asarray(rows[TIME]), created), (asks.key, asks.time), ttl_us=reading.ttl_us, known=reading.known,
        sorted_asks=True,
    )  # fmt: skip
    ask = np.flatnonzero(at >= 0).astype(np.int32)
    names = [TIME, *([CREATED] if reading.created else []), FILE, AT]
    won = [rows[name].combine_chunks().take(pa.array(at[ask])) for name in names]
    return pa.RecordBatch.from_arrays([pa.array(ask), *won], [_ASK, *names])


def chosen(blobs: Sequence[pa.Table], reading: Reading, asks: int) -> tuple[Array, Array]:
    """Of each ask the file's number (-1: nothing answers it) and the place in it: of all units' newest rows the newest.

    Args:
        blobs: what the units found, in their order.
        reading: as the units had it.
        asks: how many there are.
    """
    time, created = np.zeros(asks, np.int64), np.zeros(asks, np.int64)
    file, at = np.full(asks, -1, np.int32), np.zeros(asks, np.int64)
    for found in blobs:
        ask, when = np.asarray(found[_ASK]), np.asarray(found[TIME])
        made = created_of(found[CREATED]) if reading.created else np.zeros(len(ask), np.int64)
        # Of rows that neither instant nor creation tells apart the last counts, and units come in the order of files.
        newer = (file[ask] < 0) | (when > time[ask]) | ((when == time[ask]) & (made >= created[ask]))
        ask = ask[newer]
        time[ask], created[ask] = when[newer], made[newer]
        file[ask], at[ask] = np.asarray(found[FILE])[newer], np.asarray(found[AT])[newer]
    return file, at


def of_units(files: Files, asks: Sent, file: Array, at: Array) -> Mapping[int, pa.Table]:
    """By unit the rows to read (`asof_file`, `asof_at`), and the `asof_row` that each answers."""
    answered = np.flatnonzero(file >= 0)
    unit = np.searchsorted([end for _, end in files.units], file[answered], side="right")
    order = answered[np.argsort(unit.astype(np.uint16), kind="stable")]
    table = pa.table({ROW: asks.row[order], FILE: file[order], AT: at[order]})
    bounds = np.sort(unit)
    return {int(bounds[low]): table.slice(low, high - low).combine_chunks() for low, high in runs(bounds)}


def columns(files: Files, wanted: Mapping[int, pa.Table]) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of units: `data`, blobs of `asof_row` and the columns of the answer. Row groups without an answer are not read."""

    def read(batches: Batches) -> Iterator[pa.RecordBatch]:
        settle()
        for unit in (number for batch in batches for number in batch["id"].to_pylist()):
            if unit in wanted:
                yield from given(taken(files, wanted[unit]), packed=True)

    return read
