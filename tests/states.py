"""Looks cases up in states, the way jobs and the reader do: a state of the cut that is served, and what became known since."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from features.definitions.features import CohortRate
from features.definitions.freshness import EventFreshness
from features.definitions.views import FeatureView
from features.values import sweep as engine
from features.values.expressions import mask
from features.values.state.blocks import Block
from features.values.state.finish import finish
from features.values.state.pack import pack
from features.values.state.plan import plan_of
from features.values.timeline import Asks, Rows
from tests.engine import as_known, encoded, engine_rows, request_of, stored
from tests.oracle import Answer
from tests.strategies import Case, event_cases

__all__ = ["kept_cases", "looked_up", "states_of", "tail_of"]


def kept_cases(*, of_course: bool = False) -> st.SearchStrategy[Case]:
    """Views that are finished at the asked instant; those that follow a stream without their cohort rates, which such lookups refuse."""
    return event_cases(of_course=of_course).map(_without_rates).filter(lambda case: case.view.stateful)


def _without_rates(case: Case) -> Case:
    if not isinstance(case.view.freshness, EventFreshness):
        return case
    features = tuple(feature for feature in case.view.features if not isinstance(feature, CohortRate))
    view = replace(case.view, features=features, outcomes=())
    return replace(case, view=view, raw={"s": case.raw["s"]})


def looked_up(case: Case) -> list[Answer]:
    """One answer an ask, in the asks' order, each from the state of the cut that its instant is served by."""
    view = case.view
    codes = {key: n for n, key in enumerate(sorted({encoded(key) for key, _ in case.asks}, key=repr))}
    tables = {
        source.name: as_known(source, case.raw[source.name], stored(source, case.raw[source.name], case.batches))
        for source in view.sources
    }
    made: list[Answer | None] = [None] * len(case.asks)
    for cut in sorted({view.schedule.cut_served(t) for _, t in case.asks}):
        here = [n for n, (_, t) in enumerate(case.asks) if view.schedule.cut_served(t) == cut]
        asks = Asks(
            key=np.array([codes[encoded(case.asks[n][0])] for n in here], np.int64),
            instant=np.array([case.asks[n][1] for n in here], np.int64),
        )
        states = states_of(view, tables, codes, cut)
        tail = tail_of(view, tables[view.source.name], codes, cut)
        brought = None if case.requests is None else request_of(view, [case.requests[n] for n in here])
        if view.include_self:  # each ask has a state of its own
            states, tail, asks = (
                [states[key] for key in asks.key],
                _of_each(tail, asks.key),
                replace(asks, key=np.arange(len(here))),
            )
        found = finish(view, cut, states, asks, tail, brought)
        assert not found.damaged.any()
        columns = {name: _plain(values) for name, values in found.values.columns.items()}
        for place, n in enumerate(here):
            status = engine.STATUSES[found.values.status[place]]
            made[n] = Answer({name: values[place] for name, values in columns.items()}, status)
    return [item for item in made if item is not None]


def _of_each(tail: Block | None, keys: np.ndarray) -> Block | None:
    """The rows of each ask's key, key n that of ask n."""
    if tail is None:
        return None
    places = [np.flatnonzero(tail.key == key) for key in keys]
    index = np.concatenate([np.zeros(0, np.int64), *places])
    columns = {name: column.take(pa.array(index)) for name, column in tail.columns.items()}
    key = np.repeat(np.arange(len(keys)), [len(each) for each in places])
    return Block(key=key, time=tail.time[index], since=tail.since[index], columns=columns)


def states_of(
    view: FeatureView, tables: Mapping[str, pa.Table], codes: Mapping[Hashable | None, int], cut: int
) -> list[bytes | None]:
    """The states of the keys, from what is stored before the cut."""
    lines = {}
    for source in view.sources:
        table = tables[source.name]
        known = np.asarray(table["asof_known_at"].cast(pa.int64()))
        rows = engine_rows(view, source, table.filter(pa.array(known < cut)), codes)
        lines[source.name] = engine.line_of(view, source, rows, {})
    found: list[bytes | None] = pack(view, lines, len(codes), cut).to_pylist()
    return found


def tail_of(view: FeatureView, table: pa.Table, codes: Mapping[Hashable | None, int], cut: int) -> Block | None:
    """The first versions that became known since the cut, soon enough after they happened."""
    fresh = view.freshness
    if not isinstance(fresh, EventFreshness):
        return None
    rows: Rows = engine_rows(view, view.source, table, codes)
    known = np.maximum(rows.known, rows.time + view.source.lag_us) if view.source.lag_us else rows.known
    chosen = ~rows.retract & rows.first & (known - rows.time <= fresh.lateness_us) & (known >= cut)
    chosen &= mask(view.source.filter, rows.columns, len(rows))
    order = np.lexsort((rows.time, rows.key))
    order = order[chosen[order]]
    names = plan_of(view).waiting_columns
    columns = {name: rows.columns[name].take(pa.array(order)) for name in names}
    return Block(key=rows.key[order], time=rows.time[order], since=known[order] + fresh.lag_us, columns=columns)


def _plain(values: pa.Array) -> list[Any]:
    plain: list[Any] = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_pylist()
    return plain
