"""Known-wrong ways with partitions that a gate held, each of which a property must tell from the right one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions.sources import Source
from features.values import versions
from tests import engine
from tests.oracle import HELD, Row
from tests.properties.registered import mutant

__all__: list[str] = []


@mutant("held")
def held_rows_are_left_out_of_what_ingest_resolved(patch: pytest.MonkeyPatch) -> None:
    """As Asof itself had it: retractions of held rows, and rows that were redelivered because of them, stay as they were stored."""

    def wrong(source: Source, raw: Sequence[Row], table: pa.Table) -> pa.Table:
        released = {row[source.known_at or source.event_time]: row.get("asof_released", -HELD) for row in raw}
        known = table["asof_known_at"].cast(pa.int64()).to_pylist()
        starts = [max(at, released[at]) for at in known]
        undone = table["asof_undoes"].cast(pa.int64()).fill_null(0).to_pylist()
        kept = [at != HELD and released.get(of, 0) != HELD for at, of in zip(starts, undone, strict=True)]
        return engine._set_known(table, starts).filter(pa.array(kept, pa.bool_()))

    patch.setattr(engine, "as_known", wrong)


@mutant("held")
def a_release_makes_a_version_the_newest(patch: pytest.MonkeyPatch) -> None:
    right = versions._resolved

    def wrong(source: Source, table: pa.Table, old: int, _: np.ndarray, *rest: Any) -> versions.Resolved:
        return right(source, table, old, versions._micros(table, "asof_known_at"), *rest)

    patch.setattr(versions, "_resolved", wrong)


@mutant("held", chunk=3)
def what_changed_nothing_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    right = versions.resolve

    def wrong(source: Source, incoming: pa.Table, standing: pa.Table | None = None) -> versions.Resolved:
        made = right(source, incoming, standing)
        return versions.Resolved(rows=made.rows.filter(pc.not_equal(made.rows["asof_op"], "again")), late=made.late)

    patch.setattr(versions, "resolve", wrong)


@mutant("held")
def a_released_row_is_known_as_if_it_had_not_been_held(patch: pytest.MonkeyPatch) -> None:
    right = engine.as_known

    def wrong(source: Source, raw: Sequence[Row], table: pa.Table) -> pa.Table:
        early = [{**row, "asof_released": -HELD} if row.get("asof_released", HELD) != HELD else row for row in raw]
        return right(source, early, table)

    patch.setattr(engine, "as_known", wrong)
