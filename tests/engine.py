"""Runs the real engine on literal rows, the way ingest and a frame do, for tests that compare it with the oracle."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values import sweep as engine
from features.values import versions
from features.values.fits import Fits, fit_names, fitted
from features.values.requests import Request
from features.values.summing import sums
from features.values.timeline import Asks, Rows, anchors, timeline
from tests.oracle import HELD, Answer, Row, landed

UTC_US = pa.timestamp("us", "UTC")


def as_known(source: Source, raw: Sequence[Row], table: pa.Table) -> pa.Table:
    """What engines see of stored rows where some of the raw ones were held, and perhaps released: the events that have such are stood up anew."""
    released = {landed(source, row): row["asof_released"] for row in raw if "asof_released" in row}
    if not released:
        return table
    known = table["asof_known_at"].cast(pa.int64()).to_pylist()
    events = table[source.event_id].to_pylist() if source.event_id else list(range(len(table)))
    touched = {event for event, at in zip(events, known, strict=True) if at in released}
    starts = [max(at, released.get(at, at)) for at in known]
    mine = np.array([event in touched for event in events], bool)
    kept = np.array([at != HELD for at in starts], bool)
    if source.event_id is None:
        return _set_known(table, starts).filter(pa.array(kept))
    delivered = mine & kept & (np.array(table["asof_op"].to_pylist(), object) != versions.RETRACT)
    columns = [*source.types, "asof_known_at"]
    rows = table.select(columns).filter(pa.array(delivered))
    starting = pa.array([at for at, used in zip(starts, delivered, strict=True) if used], pa.int64())
    stood = versions.stand(source, rows.append_column("asof_from", starting))
    return pa.concat_tables([table.filter(pa.array(~mine)), stood])


def _set_known(table: pa.Table, known: Sequence[float]) -> pa.Table:
    values = pa.array([0 if at == HELD else at for at in known], pa.int64()).cast(UTC_US)
    return table.set_column(table.schema.get_field_index("asof_known_at"), "asof_known_at", values)


def stored(source: Source, raw: Sequence[Row], batches: int = 1) -> pa.Table:
    """What ingest stores of raw versions that arrive in `batches` runs."""
    schema = pa.schema(
        [(name, engine.ARROW_TYPES[kind]) for name, kind in source.types.items()] + [("asof_known_at", UTC_US)]
    )
    rows: list[dict[str, Any]] = [
        {**{name: row.get(name) for name in source.types}, "asof_known_at": landed(source, row)} for row in raw
    ]
    rows.sort(key=lambda row: row["asof_known_at"])
    edges = sorted({row["asof_known_at"] for row in rows})
    cuts = [edges[len(edges) * n // batches] for n in range(1, batches)] if edges else []
    table: pa.Table | None = None
    for n in range(batches):
        part = (
            [
                r
                for r in rows
                if (n == 0 or r["asof_known_at"] >= cuts[n - 1]) and (n == batches - 1 or r["asof_known_at"] < cuts[n])
            ]
            if cuts or n == 0
            else []
        )
        incoming = pa.Table.from_pylist(part, schema)
        made = versions.resolve(
            source, incoming, None if table is None or source.event_id is None else standing(source, table)
        ).rows
        table = made if table is None else pa.concat_tables([table, made])
    assert table is not None
    return table


def standing(source: Source, table: pa.Table) -> pa.Table:
    """The newest addition or void of each event, when it was last heard of, and when its very version was received last."""
    kept: dict[Any, tuple[int, int]] = {}
    heard: dict[Any, int] = {}
    received: dict[Any, int] = {}
    known, came = (_micros(table, name).tolist() for name in ("asof_known_at", source.known_at or "asof_known_at"))
    rows = table.select([name for name in (source.event_id, source.version, source.void) if name]).to_pylist()
    ranks = [(row.get(source.version) or 0, row.get(source.void) or False) for row in rows]
    events = table[source.event_id or ""].to_pylist()
    for n, (event, op) in enumerate(zip(events, table["asof_op"].to_pylist(), strict=True)):
        if op in {versions.ADD, versions.VOID} and (event not in kept or known[n] >= kept[event][0]):
            kept[event] = (known[n], n)
        heard[event] = max(heard.get(event, known[n]), known[n])
        if op != versions.RETRACT:
            version = (event, ranks[n])
            received[version] = max(received.get(version, came[n]), came[n])
    found = table.take(pa.array([n for _, n in kept.values()], pa.int64()))
    for name, instants in (("asof_heard", [heard[event] for event in kept]),
                           ("asof_received", [received[event, ranks[n]] for event, (_, n) in kept.items()])):  # fmt: skip
        found = found.append_column(name, pa.array(instants, pa.int64()).cast(UTC_US))
    return found


def encoded(key: tuple[Any, ...]) -> Hashable | None:
    """What tells one entity from another; None for a key that belongs to none."""
    return None if None in key else key


def engine_rows(view: FeatureView, source: Source, table: pa.Table, codes: Mapping[Hashable | None, int]) -> Rows:
    columns = source.key_columns(view.entity.name, view.entity.keys)
    keys = [encoded(key) for key in zip(*(table[name].to_pylist() for name in columns), strict=True)]
    keep = [
        n
        for n, (key, op) in enumerate(zip(keys, table["asof_op"].to_pylist(), strict=True))
        if key in codes and op in {versions.ADD, versions.RETRACT}
    ]
    table = table.take(pa.array(keep, pa.int64()))
    return Rows(
        key=np.array([codes[keys[n]] for n in keep], np.int64), time=_micros(table, source.event_time), known=_micros(table, "asof_known_at"),
        retract=np.array([op == versions.RETRACT for op in table["asof_op"].to_pylist()], bool), undoes=_micros(table, "asof_undoes"),
        first=np.array(table["asof_first"].to_pylist(), bool),
        columns={name: table[name].combine_chunks() for name in source.types},
    )  # fmt: skip


def answers(
    view: FeatureView,
    raw: Mapping[str, Sequence[Row]],
    asks: Sequence[tuple[tuple[Any, ...], int]],
    batches: int = 1,
    requests: Sequence[Row] | None = None,
) -> list[Answer]:
    """One answer an ask, in the asks' order."""
    codes = {key: n for n, key in enumerate(sorted({encoded(key) for key, _ in asks}, key=repr))}
    coded = [codes[encoded(key)] for key, _ in asks]
    order = sorted(range(len(asks)), key=lambda n: (coded[n], asks[n][1]))
    sorted_asks = Asks(
        key=np.array([coded[n] for n in order], np.int64), instant=np.array([asks[n][1] for n in order], np.int64)
    )
    tables = {
        source.name: as_known(source, raw[source.name], stored(source, raw[source.name], batches))
        for source in view.sources
    }
    rows = {source.name: engine_rows(view, source, tables[source.name], codes) for source in view.sources}
    brought = None if requests is None else request_of(view, [requests[n] for n in order])
    found = engine.sweep(view, rows, sorted_asks, fits=fits_of(view, tables, sorted_asks), request=brought)
    columns = {name: _plain(values) for name, values in found.columns.items()}
    made: list[Answer | None] = [None] * len(asks)
    for place, n in enumerate(order):
        made[n] = Answer(
            {name: values[place] for name, values in columns.items()}, engine.STATUSES[found.status[place]]
        )
    return [item for item in made if item is not None]


def request_of(view: FeatureView, requests: Sequence[Row]) -> Request:
    """What asks bring, an array a request field."""
    types = view.source.types
    return {name: pa.array([row[name] for row in requests], engine.ARROW_TYPES[types[name]]) for name in view.request}


def fits_of(view: FeatureView, tables: Mapping[str, pa.Table], asks: Asks) -> Fits | None:
    """What is fitted at the asks' cuts from the rows of all keys, as if two workers had each summed about half of the keys."""
    if not view.fitted:
        return None
    cuts = sorted(set(anchors(asks.instant, view.freshness).tolist()))
    keys = {
        encoded(key)
        for source in view.sources
        for key in zip(
            *(tables[source.name][name].to_pylist() for name in source.key_columns(view.entity.name, view.entity.keys)),
            strict=True,
        )
    }
    total = {name: np.zeros(1, np.int64) for name in fit_names(view)}
    for worker in (0, 1):
        codes = {key: n for n, key in enumerate(sorted(keys - {None}, key=repr)) if n % 2 == worker}
        lines = {
            source.name: timeline(engine_rows(view, source, tables[source.name], codes), source, view.freshness)
            for source in view.sources
        }
        total = {name: total[name] + counts for name, counts in sums(view, lines, cuts).items()}
    return fitted(view, cuts, total)


def _micros(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].cast(pa.int64()).fill_null(0).to_numpy())


def _plain(values: pa.Array) -> list[Any]:
    plain: list[Any] = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_pylist()
    return plain
