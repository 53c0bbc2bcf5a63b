"""The future-shift check: a frame's values computed again from inputs out of which everything known after a row's instant was taken. Nothing may change.

Each sampled row gets a copy of its key's rows under a key of its own, cut off at its instant before the engine sees them, so that rows of one key but of
several instants are asked in one pass. What the engine itself would leave out does not matter: the rows are not there. A second copy holds everything
known today as if it had been known at once; it says how much a careless join would have seen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.names import micros, status_column, utc
from features.definitions.requests import request_fields
from features.settings import Settings
from features.values.partition import EntityViews, entity_views, finish
from jobs import ledger
from jobs.audited import AuditedFrame
from jobs.findings import Finding
from jobs.fits import cuts_of_asks, fits
from jobs.frame import ask_edges, request_types
from jobs.labels import EVENT_TIMESTAMP
from jobs.rows import Shape, ask_rows, event_rows, output_schema, passed
from jobs.sizing import size
from jobs.source_files import travelling
from jobs.tables import HIVE_TYPES

__all__ = ["future_shift", "sampled"]

Array = np.ndarray
_THEN, _LATER = 0, 1
_EXACT = 1e-9
Cell = Any
"""A value of a feature, as Python has it."""


@dataclass(slots=True)
class _Compared:
    """What became of one feature's values."""

    changed: int = 0
    as_later: int = 0
    """Of the changed ones: those that equal what everything known today gives."""

    later: int = 0
    """Rows whose value is another one with everything known today."""

    example: str = ""


def sampled(rows: int, wanted: int, positive: Array, seed: int) -> Array:
    """Row numbers, ascending: half of them positive where there are so many, since what comes later mostly follows those; the others of all rows."""
    rng = np.random.default_rng(seed)
    some = rng.permutation(positive)[: wanted // 2]
    rest = np.setdiff1d(np.arange(rows), some)
    return np.sort(np.concatenate([some, rng.permutation(rest)[: wanted - len(some)]]))


def future_shift(spark: SparkSession, settings: Settings, frame: AuditedFrame, rows: Array) -> dict[str, Any]:
    """Plain data: of each feature how many of the rows `changed`, how many would change `later`; and the `findings` that follow.

    Args:
        spark: the session.
        settings: where tables are.
        frame: whose sources are as its manifest says.
        rows: row numbers to compute again.

    Raises:
        MissingError: a source partition is not there.
    """
    names = [*frame.features, *(status_column(view) for view, _ in frame.chosen)]
    fields = request_fields(view for view, _ in frame.chosen)
    taken = {
        name: frame.column(name).take(pa.array(rows)) for name in dict.fromkeys([*frame.keys, *fields, EVENT_TIMESTAMP])
    }
    instants = np.asarray(taken[EVENT_TIMESTAMP].cast(pa.int64()).to_numpy())
    again: dict[str, tuple[list[Cell], list[Cell]]] = {}
    for group in entity_views(view for view, _ in frame.chosen):
        made = _computed(spark, settings, group, taken, instants)
        for name in (name for name in names if name in made.column_names):
            again[name] = _halves(made, name, len(rows))
    shown, nothing = _Shown(frame, taken, rows), [None] * len(rows)  # where no row has a key
    found = {name: _compared(frame, name, rows, *again.get(name, (nothing, nothing)), shown) for name in names}
    return {
        "rows": len(rows),
        "features": [{"feature": name, "changed": each.changed, "later": each.later} for name, each in found.items()],
        "findings": [finding for name, each in found.items() for finding in _findings(name, each, len(rows))],
    }


def _computed(
    spark: SparkSession, settings: Settings, group: EntityViews, taken: Mapping[str, pa.Array], instants: Array
) -> pa.Table:
    """Values by asof_row: of row n as it was then in 2n, with all that is known today in 2n + 1; rows without a key have none."""
    keys = [taken[name].to_pylist() for name in group.views[0].keys]
    types = request_types(group)
    brought = [travelling(pa.chunked_array([taken[name]])).to_pylist() for name in group.request.values()]
    asked = [
        (*key, 2 * n + part, int(instant), *(column[n] for column in brought))
        for n, (key, instant) in enumerate(zip(zip(*keys, strict=True), instants, strict=True))
        for part in (_THEN, _LATER)
        if None not in key
    ]
    if not asked:
        return pa.table({"asof_row": pa.array([], pa.int64())})
    before, anchor = ask_edges(group, int(instants.min()), int(instants.max()))
    until = _known_until(settings, group, before)
    kind = HIVE_TYPES[group.views[0].entity.type]
    events = event_rows(spark, settings, group, before=until, anchor=anchor, shape=Shape(corrected=True, later=True))
    schema = ", ".join([
        *(f"{key} {kind}" for key in group.keys), "asof_row bigint", "asof_time bigint", *(f"{column} {passed(each)}" for column, each in types.items()),
    ])  # fmt: skip
    asks = spark.createDataFrame(asked, schema)
    copies = _then(group, events, asks).unionByName(_later(group, events, asks))
    own = F.col("asof_row").cast(kind)
    both = copies.unionByName(ask_rows(asks.withColumn("k0", own), group, copies))
    count = size(settings, group, before=before, anchor=anchor, asks=len(asked)).partitions
    # What was fitted at the rows' cuts, from what those knew.
    fitted = fits(spark, settings, group, cuts_of_asks(asks, group))
    made = both.repartition(count, *group.keys).mapInArrow(finish(group, fits=fitted), output_schema(group))
    return made.toArrow()


def _known_until(settings: Settings, group: EntityViews, before: int) -> int:
    """The end of the last day that all sources have."""
    days = [max((item.ds for item in ledger.partitions(settings, s.ingested_by)), default="") for s in group.sources]
    return (
        max(before, micros(datetime.fromisoformat(min(days)).replace(tzinfo=UTC) + timedelta(days=1)))
        if all(days)
        else before
    )


def _then(group: EntityViews, events: DataFrame, asks: DataFrame) -> DataFrame:
    """For each ask its key's rows that were known at its instant; a source's lag delays additions."""
    known: Column = F.col("asof_known")
    for n, source in enumerate(group.sources):
        late = F.greatest(F.col("asof_known"), F.col("asof_time") + F.lit(source.lag_us))
        known = F.when((F.col("asof_part") == n) & ~F.col("asof_retract"), late).otherwise(known)
    return _copied(group, events.withColumn("asof_had", known), asks, _THEN).where(
        F.col("asof_had") <= F.col("asof_until")
    ).drop("asof_had", "asof_until")  # fmt: skip


def _later(group: EntityViews, events: DataFrame, asks: DataFrame) -> DataFrame:
    """For each ask its key's rows that stand today, each as if known when it happened."""
    event = F.coalesce(
        *(F.col(f"s{n}_{source.event_id}").cast("string") for n, source in enumerate(group.sources) if source.event_id),
        F.lit(None).cast("string"),
    )
    named = events.withColumn("asof_event", event)
    place = [*group.keys, "asof_part", "asof_time", "asof_event", "asof_known"]
    taken_back = named.where("asof_retract").select(*place[:-1], F.col("asof_undoes").alias("asof_known"))
    standing = named.where(~F.col("asof_retract")).join(taken_back, place, "left_anti").select(*events.columns)
    at_once = standing.withColumns({
        "asof_known": F.col("asof_time"), "asof_undoes": F.lit(0).cast("bigint"), "asof_first": F.lit(True),
    })  # fmt: skip
    return _copied(group, at_once, asks, _LATER).drop("asof_until")


def _copied(group: EntityViews, events: DataFrame, asks: DataFrame, part: int) -> DataFrame:
    """Events once for each ask of their key, under the ask's own key; `asof_until` is its instant."""
    mine = asks.where(F.col("asof_row") % 2 == part)
    whose = F.broadcast(
        mine.select(*group.keys, F.col("asof_row").alias("asof_whose"), F.col("asof_time").alias("asof_until"))
    )
    copied = events.join(whose, list(group.keys))
    own = F.col("asof_whose").cast(events.schema["k0"].dataType)
    columns = [own.alias("k0") if name == "k0" else F.col(name) for name in copied.columns if name != "asof_whose"]
    return copied.select(*columns, F.lit(None).cast("bigint").alias("asof_row"))


def _halves(made: pa.Table, name: str, rows: int) -> tuple[list[Cell], list[Cell]]:
    """Values of each row then and later."""
    place = {row: n for n, row in enumerate(made["asof_row"].to_pylist())}
    values = made[name].to_pylist()
    then, later = (
        [values[place[2 * n + part]] if 2 * n + part in place else None for n in range(rows)]
        for part in (_THEN, _LATER)
    )
    return then, later


@dataclass(frozen=True, slots=True)
class _Shown:
    """Says which row a value is of."""

    frame: AuditedFrame
    taken: Mapping[str, pa.Array]
    rows: Array

    def at(self, n: int) -> str:
        keys = ", ".join(f"{name}={self.taken[name][n].as_py()}" for name in self.frame.keys)
        instant = utc(self.taken[EVENT_TIMESTAMP][n].cast(pa.int64()).as_py()).isoformat()
        return f"row {self.rows[n]} ({keys} at {instant})"


def _compared(
    frame: AuditedFrame, name: str, rows: Array, then: list[Cell], later: list[Cell], shown: _Shown
) -> _Compared:
    made = _Compared()
    no_key = "no_key" if name.endswith("__asof_status") else None
    for n, value in enumerate(frame.column(name).take(pa.array(rows)).to_pylist()):
        was, is_now = (no_key if each is None else each for each in (then[n], later[n]))
        made.later += not _same(was, is_now)
        if not _same(value, was):
            made.changed += 1
            made.as_later += _same(value, is_now)
            made.example = made.example or f"{shown.at(n)} has {_text(value)}, and {_text(was)} without what came later"
    return made


def _same(left: Cell, right: Cell) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=_EXACT, abs_tol=_EXACT)
    return type(left) is type(right) and bool(left == right)


def _text(value: Cell) -> str:
    return "null" if value is None else str(value)


def _findings(name: str, found: _Compared, rows: int) -> list[Finding]:
    if not found.changed:
        return []
    later = f" {found.as_later} of them equal what everything known today gives." if found.as_later else ""
    says = (
        f"{found.changed} of {rows} rows have another value once everything known after their instant is taken out of the sources: {found.example}.{later} "
        "Do not train on it: make the frame again, and ask `asof why` for the rows behind the value."
    )
    return [Finding(check="future shift", severity="leak", name=name, says=says)]
