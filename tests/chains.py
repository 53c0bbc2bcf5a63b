"""Cuts that follow from one another, as daily runs compute them, for tests that compare each with the oracle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import assume
from hypothesis import strategies as st

from features.definitions.freshness import Schedule
from features.definitions.views import FeatureView
from features.values.carrying import Carried, carry, edges, start, tile_rows
from features.values.tiles import tiles
from features.values.versions import ADD, RETRACT
from tests import oracle
from tests.engine import stored
from tests.properties.agreement import agree
from tests.strategies import Case, event_cases
from tests.tile_rows import cuts_of

__all__ = ["CarriedCase", "carried_cases", "shuffled", "walked"]

STEPS = 4


@dataclass(frozen=True)
class CarriedCase:
    """What arrives, and the first cut of those that follow from one another."""

    case: Case
    rows: pa.Table
    first: int


@st.composite
def carried_cases(draw: st.DrawFn, *, of_course: bool = False) -> CarriedCase:
    """Views whose values are stored at cuts, of one source."""
    case = draw(
        event_cases(of_course=of_course).filter(
            lambda case: isinstance(case.view.freshness, Schedule) and case.view.served
        )
    )
    kept = tuple(feature for feature in case.view.features if not hasattr(feature, "outcomes"))
    case = replace(case, view=replace(case.view, features=kept, outcomes=(), tiles=True))
    table = stored(case.view.source, case.raw["s"], case.batches)
    plain = RETRACT not in table["asof_op"].to_pylist()
    rows = shuffled(case.view, table, corrected=not plain or draw(st.booleans()))
    assume(len(rows))
    first = draw(st.sampled_from(cuts_of(case.view, tile_rows(case.view, rows))))
    return CarriedCase(case, rows, first - draw(st.integers(0, 2)) * case.view.schedule.period_us)


def shuffled(view: FeatureView, table: pa.Table, *, corrected: bool) -> pa.Table:
    """Stored rows as a partition of the shuffle has them."""
    source = view.source
    table = table.filter(pc.is_in(table["asof_op"], pa.array([ADD, RETRACT])))
    keys = source.key_columns(view.entity.name, view.entity.keys)
    for key in keys:
        table = table.filter(pc.is_valid(table[key]))
    made = {f"k{n}": table[key] for n, key in enumerate(keys)}
    made |= {"asof_time": _micros(table[source.event_time]), "asof_known": _micros(table["asof_known_at"])}
    if corrected:
        made |= {
            "asof_undoes": pc.fill_null(_micros(table["asof_undoes"]), 0), "asof_retract": pc.equal(table["asof_op"], RETRACT), "asof_first": table["asof_first"],
        }  # fmt: skip
    for name in view.reads(source):
        made[f"s0_{name}"] = _micros(table[name]) if pa.types.is_timestamp(table[name].type) else table[name]
    return pa.table(made)


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64())


class Chain:
    """Cuts that follow one another, as daily runs compute them."""

    def __init__(self, view: FeatureView, rows: pa.Table) -> None:
        self.view, self.rows, self.period = view, rows, view.schedule.period_us
        # Whoever looks for standing rows of a tile is given all of them.
        self.every = tile_rows(view, rows)
        self.built: dict[int, pa.Table] = {}

    def known(self, before: int, since: int = -(2**63)) -> pa.Table:
        known = self.rows["asof_known"]
        return self.rows.filter(pc.and_(pc.less(known, before), pc.greater_equal(known, since)))

    def tiles(self, cuts: Sequence[int]) -> pa.Table:
        made = tiles(self.view, self.every, sorted(cuts))
        return made.rename_columns(
            [{key: f"k{n}" for n, key in enumerate(self.view.keys)}.get(name, name) for name in made.column_names]
        )

    def first(self, cut: int) -> Carried:
        return start(self.view, cut, self.known(cut))

    def next(self, cut: int, before: Carried) -> Carried:
        """What the cut newly knows, the tiles that its windows leave, and all rows of keys that have gaps."""
        own = self.tiles([cut])
        past = self.tiles([c for c in cuts_of(self.view, self.every) if c < cut] or [cut - self.period])
        chosen = [
            past.filter(pc.and_(pc.greater_equal(past["asof_tile"], lower), pc.less(past["asof_tile"], upper)))
            for lower, upper in edges(self.view, cut)
        ]
        older = pa.concat_tables([past.slice(0, 0), *chosen]).group_by(past.column_names).aggregate([])
        # Spans may overlap, and a tile is in the store once.
        made = carry(self.view, cut, before.sums, before.rows, self.known(cut, cut - self.period), own, older)
        if not len(made.gaps):
            return made
        names = made.gaps.column_names
        again = start(self.view, cut, self.known(cut).join(made.gaps, names, join_type="left semi").combine_chunks())
        return Carried(
            values=pa.concat_tables([made.values, again.values]), sums=pa.concat_tables([made.sums, again.sums]),
            rows=pa.concat_tables([made.rows, again.rows]), by_tile=made.by_tile, gaps=again.gaps,
        )  # fmt: skip


def differences(case: Case, cut: int, got: pa.Table) -> list[str]:
    """A line for each value or status that is not the oracle's; a key that is not there is never seen."""
    view, raw = case.view, case.raw["s"]
    instant, types = cut + view.schedule.lag_us, view.types
    columns = view.source.key_columns(view.entity.name, view.entity.keys)
    rows = {tuple(row[key] for key in view.keys): row for row in _plain(got)}
    assert len(rows) == len(got)
    found = []
    for key in {tuple(row[name] for name in columns) for row in raw} - {tuple([None] * len(columns))}:
        if None in key:
            continue
        meant = oracle.answer(view, case.raw, key, instant)
        row = rows.pop(key, None)
        if row is None or row["asof_status"] != meant.status:
            if row is not None or meant.status != "never_seen":
                found.append(f"{key}: {row and row['asof_status']}, meant {meant.status}")
            continue
        found += [
            f"{key}: {name} is {row[name]!r}, meant {value!r}" for name, value in meant.values.items()
            if not agree(case, types[name], name, key, instant, row[name], value)
        ]  # fmt: skip
    return found + [f"{key}: not in the input" for key in rows]


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    rows: list[dict[str, Any]] = pa.table(columns, table.column_names).to_pylist()
    return rows


def walked(of: CarriedCase) -> list[str]:
    """The differences at the first cut, or at the first of those after it that has some."""
    case, cut = of.case, of.first
    chain = Chain(case.view, of.rows)
    made = chain.first(cut)
    found = differences(case, cut, made.values)
    for _ in range(STEPS):
        if found:
            break
        cut += chain.period
        made = chain.next(cut, made)
        found = differences(case, cut, made.values)
    return found
