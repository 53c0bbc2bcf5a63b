"""Builds the state of many keys at once, from their rows in order."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from features.definitions.views import FeatureView
from features.values import exact
from features.values.columns import numbers, usable
from features.values.expressions import mask
from features.values.hashing import hash64
from features.values.kept import kept_for
from features.values.outcomes import with_outcomes
from features.values.state import merging
from features.values.state.blocks import Block, empty
from features.values.state.layout import Chunk, write
from features.values.state.plan import Plan, Section, Span, plan_of, span_of
from features.values.timeline import Timeline

__all__ = ["identity", "ordinal", "pack"]

Array = np.ndarray


def pack(view: FeatureView, lines: Mapping[str, Timeline], keys: int, cut: int) -> pa.Array:
    """The state of each key code below `keys`; null where no row is left that any lookup may need.

    Args:
        view: a stateful one.
        lines: source name to rows in order, those of the view's keys that are known by the cut, or more.
        keys: how many codes there are.
        cut: microseconds UTC.
    """
    plan, span = plan_of(view), span_of(view, cut)
    line = lines[view.source.name]
    known = line.since if line.known is None else line.known
    line = line.only((known < cut) & (line.until > span.begin))
    if view.source.kind != "events":
        return write(keys, (), _block(plan.row_columns, line, _newest_change(line, span.begin)), empty({}), cut)
    here = line.only(line.since <= span.begin)
    chunks = [_Keep(plan, section, span).chunk(_stream(plan, section, lines, here, cut)) for section in plan.sections]
    needed = kept_for(view, plan.others, here, span.begin, span.begin) if plan.others else np.zeros(len(here), bool)
    waits = line.only(line.since > span.begin)
    waiting = _block(plan.waiting_columns, waits, np.ones(len(waits), bool))
    return write(keys, chunks, _block(plan.row_columns, here, needed), waiting, cut)


def _block(names: tuple[str, ...], line: Timeline, chosen: Array) -> Block:
    rows = line.only(chosen)
    return Block(key=rows.key, time=rows.time, since=rows.since, columns={name: rows.columns[name] for name in names})


def _newest_change(line: Timeline, begin: int) -> Array:
    """The change that holds at the begin, and all later ones."""
    made = line.time > begin
    now = np.flatnonzero(~made)
    ends = np.ones(len(now), bool)
    ends[:-1] = line.key[now][1:] != line.key[now][:-1]
    made[now[ends]] = True
    return made


def _stream(plan: Plan, section: Section, lines: Mapping[str, Timeline], here: Timeline, cut: int) -> Timeline:
    """The rows that a section is of."""
    chosen = mask(section.where, here.columns, len(here))
    if section.column is not None:
        chosen = chosen & usable(here.columns[section.column])
    rows = here.only(chosen)
    if section.kind != "matched":
        return rows
    source, of = section.outcomes
    begin = span_of(plan.view, cut).begin
    found = with_outcomes(rows, plan.view.source, lines[source], of)
    return found.only((found.since <= begin) & (found.until > begin))


class _Keep:
    """One section of all keys."""

    def __init__(self, plan: Plan, section: Section, span: Span) -> None:
        self.section, self.span = section, span
        self.remember = plan.view.remember_us
        bounds = [window.bounds(span.begin, self.remember) for window in section.windows]
        self.lower, self.upper = min(bound.lower for bound in bounds), min(bound.upper for bound in bounds)

    def chunk(self, rows: Timeline) -> Chunk:
        """What stays of the rows."""
        section = self.section
        rows = rows.only(rows.time >= self.lower)
        edge = merging.edges_before(rows.time, merging.zones(section.windows, self.span, self.remember))
        if section.kind in {"newest", "oldest"}:
            return self._instants(rows, edge)
        if section.kind in {"counted", "matched"}:
            return self._counted(rows, edge)
        column = rows.columns[section.column or ""]
        if section.kind == "distinct":
            return self._distinct(rows, edge, identity(column))
        return self._extreme(rows, edge, ordinal(column))

    def _instants(self, rows: Timeline, edge: Array) -> Chunk:
        """Exact instants. A later row outdoes an earlier one where all windows end now; else one stays of each span between edges."""
        run = _runs(rows.key, edge)
        settled = rows.time < self.upper
        if self.section.kind == "newest" and self.section.ends_now:
            stay = merging.last_of_runs(rows.key, settled)
        elif self.section.kind == "newest":
            stay = merging.last_of_runs(run, np.ones(len(run), bool))
        else:
            stay = np.diff(run, prepend=-1) != 0
        return Chunk(key=rows.key[stay], time=rows.time[stay], words=())

    def _counted(self, rows: Timeline, edge: Array) -> Chunk:
        section = self.section
        columns = [np.ones(len(rows), np.int64)]
        values = np.zeros(0, np.int64)
        if section.summed:
            values = numbers(rows.columns[section.column or ""])
            columns += list(exact.sum_limbs(values))
        if section.squares:
            pieces = list(exact.square_limbs(values))
            columns += pieces + [np.zeros(len(rows), np.int64)] * (6 - len(pieces))
        firsts, totals = merging.summed(_runs(rows.key, edge), columns)
        made = [totals[0]]
        if section.summed:
            made += merging.words(np.stack(totals[1:3]))
        made += totals[3:] if section.squares else []
        return Chunk(key=rows.key[firsts], time=edge[firsts], words=tuple(made))

    def _extreme(self, rows: Timeline, edge: Array, value: Array) -> Chunk:
        """One value of each span between edges; where all windows end now, without those that a later one outdoes."""
        largest = self.section.kind == "largest"
        order = np.lexsort((value if largest else ~value, edge, rows.key))
        key, edge, value = rows.key[order], edge[order], value[order]
        stay = merging.last_of_runs(_runs(key, edge), np.ones(len(key), bool))
        key, edge, value = key[stay], edge[stay], value[stay]
        if self.section.ends_now:
            stay = merging.queue(key, value, edge < self.upper, largest)
            key, edge, value = key[stay], edge[stay], value[stay]
        return Chunk(key=key, time=edge, words=(value,))

    def _distinct(self, rows: Timeline, edge: Array, value: Array) -> Chunk:
        """Each value of each span once; where all windows end now the newest of each, of as many as the limit."""
        order = np.lexsort((edge, value, rows.key))
        key, edge, value = rows.key[order], edge[order], value[order]
        code = _runs(key, value)
        if self.section.ends_now:
            stay = merging.last_of_runs(code, edge < self.upper)
        else:
            stay = merging.last_of_runs(_runs(code, edge), np.ones(len(key), bool))
        # In the order of values within an edge: neighbours differ little.
        order = np.lexsort((value[stay], edge[stay], key[stay]))
        key, edge, value = key[stay][order], edge[stay][order], value[stay][order]
        if self.section.ends_now:
            near = _newest_of_each(key, edge < self.upper, self.section.limit)
            key, edge, value = key[near], edge[near], value[near]
        return Chunk(key=key, time=edge, words=(value,))


def _newest_of_each(key: Array, settled: Array, limit: int) -> Array:
    """Of each key the last settled rows, as many as the limit, and all that are not settled; those come last."""
    if not len(key):
        return settled
    ends = np.cumsum(np.bincount(key, minlength=int(key.max()) + 1))[key]
    waiting = np.bincount(key[~settled], minlength=int(key.max()) + 1)[key]
    made: Array = ~settled | (ends - waiting - np.arange(len(key)) <= limit)
    return made


def _runs(*columns: Array) -> Array:
    """An int64 that grows by one wherever one of the columns changes."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    change = np.zeros(len(columns[0]), bool)
    for column in columns:
        change[1:] |= column[1:] != column[:-1]
    return np.cumsum(change)


def identity(column: pa.Array) -> Array:
    """int64 a value, equal where the values' hashes are: whole numbers, instants and booleans stand for themselves."""
    if pa.types.is_string(column.type) or pa.types.is_floating(column.type):
        return hash64(column).view(np.int64)
    return numbers(column)


def ordinal(column: pa.Array) -> Array:
    """int64 a value in the values' order; of floats their bits, those of negative ones turned round."""
    values = numbers(column)
    if values.dtype != np.float64:
        return values
    bits = values.view(np.int64)
    return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)


def value_of(ordinals: Array, kind: pa.DataType) -> Array:
    """Back from `ordinal`."""
    if not pa.types.is_floating(kind):
        return ordinals
    bits: Array = np.where(ordinals < 0, ordinals ^ np.int64(2**63 - 1), ordinals)
    return bits.view(np.float64)
