"""Finishes the views of one entity over one partition of rows, as Spark's Python workers do: Arrow in, Arrow out. No Spark, quick to import.

A row is an event of one of the entity's sources (`asof_part` is its number) or an ask (-1), which has its request fields where an event of the source has them. Columns of source n are named `s<n>_<column>`. Columns that
would tell nothing new are left out: `asof_known` where all is known as it happens; `asof_retract`, `asof_undoes` and `asof_first` where nothing was ever
corrected; a source's event id where nothing depends on it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.freshness import EventFreshness
from features.definitions.names import STATE, status_column
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values.fits import Fits
from features.values.requests import Request
from features.values.sorting import order_by
from features.values.state.pack import pack
from features.values.summing import Sums, runs_of_cuts, sums
from features.values.sweep import ARROW_TYPES, STATUSES, Lines, line_of, sweep
from features.values.timeline import Asks, Rows

__all__ = ["ASK", "EntityViews", "codes_of", "entity_views", "finish", "fit_sums", "rows_of"]

ASK = -1
_SLICE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityViews:
    """Views of one entity, and their sources, each once."""

    views: tuple[FeatureView, ...]
    sources: tuple[Source, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key columns here: k0, k1 and so on."""
        return tuple(f"k{n}" for n in range(len(self.views[0].keys)))

    def reads(self, source: Source, *, corrected: bool = True) -> tuple[str, ...]:
        """Columns that any of the views reads of a source; its event id only where rows take others back (`corrected`) or a value depends on it."""
        readers = [view for view in self.views if source.name in {s.name for s in view.sources}]
        ids = corrected or source.kind != "events" or any(view.ordered for view in readers)
        return tuple(sorted({name for view in readers for name in view.reads(source, ids=ids)}))

    @property
    def request(self) -> Mapping[str, str]:
        """Columns of asks, those of the events that they may count as (`s<n>_<column>`), to the names of the request fields."""
        places = {source.name: n for n, source in enumerate(self.sources)}
        return {f"s{places[view.source.name]}_{name}": name for view in self.views for name in view.request}

    def request_of(self, view: FeatureView) -> Mapping[str, str]:
        """Those of one view: the field to the column."""
        place = next(n for n, source in enumerate(self.sources) if source.name == view.source.name)
        return {name: f"s{place}_{name}" for name in view.request}


def entity_views(views: Iterable[FeatureView]) -> tuple[EntityViews, ...]:
    """Views grouped by entity, in the order given."""
    groups: dict[str, list[FeatureView]] = {}
    for view in views:
        groups.setdefault(view.entity.name, []).append(view)
    return tuple(
        EntityViews(views=tuple(group), sources=tuple({s.name: s for view in group for s in view.sources}.values()))
        for group in groups.values()
    )


def finish(
    group: EntityViews, *, cuts: Sequence[int] = (), fits: Mapping[str, Fits] | None = None
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """The function for mapInArrow. With cuts every key is asked at each of them, as it is served from cut + P on; without, the ask rows are answered.

    `fits` by view, of those that have something fitted, at every cut that is asked.
    """
    compiled = json.dumps(compile_definition(group.views))

    def finished(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        views = tuple(load_definition(item, FeatureView) for item in json.loads(compiled))
        (here,) = entity_views(views)
        found = list(batches)
        if found:
            table = pa.Table.from_batches(found).combine_chunks()
            yield from _answers(here, table, np.array(sorted(cuts), np.int64), fits or {}).to_batches(
                max_chunksize=_SLICE
            )

    return finished


def _answers(group: EntityViews, table: pa.Table, cuts: np.ndarray, fits: Mapping[str, Fits]) -> pa.Table:
    codes, firsts = codes_of([table[key] for key in group.keys])
    part = _numbers(table, "asof_part")
    if not len(cuts):
        places = np.flatnonzero(part == ASK)
        instant = _numbers(table, "asof_time")[places]
        order = order_by(codes[places], instant)
        asked = Asks(key=codes[places][order], instant=instant[order])
        brought = table.take(pa.array(places[order]))
        columns: dict[str, pa.Array] = {"asof_row": brought["asof_row"].combine_chunks()}
    else:
        asked = Asks(key=np.repeat(np.arange(len(firsts)), len(cuts)), instant=np.tile(cuts, len(firsts)))
        index = pa.array(np.repeat(firsts, len(cuts)))
        columns = {key: table[key].take(index).combine_chunks() for key in group.keys}
        columns["asof_cut"] = pa.array(asked.instant)
        brought = None
    rows = _rows_of_sources(group, table, codes, part)
    states: dict[str, pa.Array] = {}
    statuses: dict[str, pa.Array] = {}
    shared: Lines = {}
    for view in group.views:
        if len(cuts) and view.stateful:
            states[f"{view.name}__{STATE}"] = _states(view, rows, len(firsts), cuts, shared)
        asks, anchor = _at_cuts(view, asked) if len(cuts) else (asked, None)
        values = sweep(view, rows, asks, shared, anchor, fits.get(view.name), _request(group, view, brought))
        columns |= {f"{view.name}__{name}": column for name, column in values.columns.items()}
        statuses[status_column(view)] = pa.DictionaryArray.from_arrays(values.status, list(STATUSES)).cast(pa.string())
    made = pa.table({**columns, **states, **statuses})
    return made if len(cuts) else made.take(pa.array(np.argsort(_numbers(made, "asof_row"))))


def _request(group: EntityViews, view: FeatureView, brought: pa.Table | None) -> Request | None:
    """The request fields of a view's asks; None at cuts, where nobody asks."""
    if brought is None:
        return None
    types = view.source.types
    return {
        name: brought[column].combine_chunks().cast(ARROW_TYPES[types[name]])
        for name, column in group.request_of(view).items()
    }


def _at_cuts(view: FeatureView, asked: Asks) -> tuple[Asks, np.ndarray]:
    """What a cut's row shows: windows that end at the cut, over what it knows. What the cut of an event view knows counts by itself."""
    lag = 0 if isinstance(view.freshness, EventFreshness) else view.schedule.lag_us
    return replace(asked, instant=asked.instant + lag), asked.instant


def _states(view: FeatureView, rows: Mapping[str, Rows], keys: int, cuts: np.ndarray, shared: Lines) -> pa.Array:
    """The state of each key at each cut, in the order of the asks; null where no lookup needs one."""
    lines = {source.name: line_of(view, source, rows[source.name], shared) for source in view.sources}
    states = [pack(view, lines, keys, int(cut)) for cut in cuts]
    order = np.arange(keys * len(cuts)).reshape(len(cuts), keys).T.ravel()
    return pa.concat_arrays(states).take(pa.array(order))


def codes_of(keys: Sequence[pa.ChunkedArray]) -> tuple[np.ndarray, np.ndarray]:
    """An int64 code a row, equal where all key columns are, and the first row of each code."""
    codes, count = np.zeros(len(keys[0]), np.int64), 1
    for n, column in enumerate(keys):
        encoded = column.combine_chunks().dictionary_encode()
        codes, count = codes * max(len(encoded.dictionary), 1) + np.asarray(encoded.indices), len(encoded.dictionary)
        if n:  # pairs become codes of their own, so that no third column can leave int64
            encoded = pa.array(codes).dictionary_encode()
            codes, count = np.asarray(encoded.indices).astype(np.int64), len(encoded.dictionary)
    firsts = np.zeros(count, np.int64)
    firsts[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return codes, firsts


def fit_sums(
    group: EntityViews, cuts: Mapping[str, Sequence[int]]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """The function for mapInArrow that gives what a partition's keys add to fits: view, name, cut, place and count, those that are not 0.

    Args:
        group: views that have something fitted.
        cuts: by view, microseconds UTC, ascending.
    """
    compiled = json.dumps(compile_definition(group.views))

    def summed(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        (here,) = entity_views(load_definition(item, FeatureView) for item in json.loads(compiled))
        if not (found := list(batches)):
            return
        table = pa.Table.from_batches(found).combine_chunks()
        codes, _ = codes_of([table[key] for key in here.keys])
        rows = _rows_of_sources(here, table, codes, _numbers(table, "asof_part"))
        shared: Lines = {}
        for view in here.views:
            lines = {source.name: line_of(view, source, rows[source.name], shared) for source in view.sources}
            for some in runs_of_cuts(view, cuts[view.name]):
                yield from _told(view, some, sums(view, lines, some))

    return summed


def _told(view: FeatureView, cuts: Sequence[int], made: Sums) -> Iterable[pa.RecordBatch]:
    instants = np.array(cuts, np.int64)
    for name, counts in made.items():
        at, place = np.nonzero(counts)
        columns = {"cut": instants[at], "place": place.astype(np.int64), "count": counts[at, place]}
        texts = {"view": pa.array([view.name] * len(at), pa.string()), "name": pa.array([name] * len(at), pa.string())}
        yield pa.RecordBatch.from_pydict({**texts, **columns})


def _rows_of_sources(group: EntityViews, table: pa.Table, codes: np.ndarray, part: np.ndarray) -> dict[str, Rows]:
    return {source.name: _rows(group, n, source, table, codes, part) for n, source in enumerate(group.sources)}


def _rows(
    group: EntityViews, number: int, source: Source, table: pa.Table, codes: np.ndarray, part: np.ndarray
) -> Rows:
    places = np.flatnonzero(part == number)
    return rows_of(source, number, group.reads(source), table.take(pa.array(places)), codes[places])


def rows_of(source: Source, number: int, reads: Sequence[str], table: pa.Table, codes: np.ndarray) -> Rows:
    """Rows of one source, a key code each, out of the columns that are there."""
    columns = {}
    for name in (name for name in reads if f"s{number}_{name}" in table.column_names):
        column = table[f"s{number}_{name}"].combine_chunks()
        columns[name] = column.cast(ARROW_TYPES["timestamp"]) if source.types[name] == "timestamp" else column
    time = _numbers(table, "asof_time")
    known = _numbers(table, "asof_known") if "asof_known" in table.column_names else time
    if "asof_retract" not in table.column_names:
        never, always = np.zeros(len(table), bool), np.ones(len(table), bool)
        return Rows(key=codes, time=time, known=known, undoes=known, retract=never, first=always, columns=columns)
    return Rows(
        key=codes, time=time, known=known, undoes=_numbers(table, "asof_undoes"), retract=_booleans(table, "asof_retract"),
        first=_booleans(table, "asof_first"), columns=columns,
    )  # fmt: skip


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)


def _booleans(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False)).astype(bool)
