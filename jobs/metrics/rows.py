"""A labelled frame as the arrays that metrics read: which rows have an outcome, what each weighs, whose each is. No Spark.

Instants are int64 microseconds UTC, days whole UTC days since the epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.durations import DAY
from features.errors import InputError, MissingError
from features.values.hashing import hash64
from features.values.labels import NEGATIVE, PENDING, POSITIVE, UNOBSERVED
from features.values.sampling import WEIGHT

__all__ = ["Rows", "entities_of", "rows_of"]

Array = np.ndarray
_SHOWN = 3
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a frame, in its order."""

    entity: Array
    """int64: the place in `entities` of whose row it is. A row with a null key is an entity of its own."""

    entities: Array
    """uint64: a hash of each entity's key, the same in every frame; what is drawn for an entity depends on it alone."""

    day: Array
    """int64: the UTC day of the event."""

    fraud: Array
    """bool; false also where there is no outcome."""

    mature: Array
    """bool: the outcome is known and the horizon has passed. Only these rows take part in metrics of outcomes."""

    pending: Array
    unobserved: Array

    weight: Array
    """float64: how many events the row stands for, those that sampling left out and those that were blocked."""

    once: Array
    """float64: the same without those that were blocked: an explored event counts as the one that it was."""

    score: Array | None = None
    amount: Array | None = None
    approved: Array | None = None
    flagged: Array | None = None
    delay: Array | None = None
    """int64: microseconds from a fraud's event until it was known; of other rows without meaning. None without `label_known_at`."""

    @property
    def left(self) -> dict[str, int]:
        """How many rows have no mature outcome: `pending`, `unobserved`, and `young` positives, whose negatives are still pending."""
        young = ~(self.mature | self.pending | self.unobserved)
        return {"pending": int(self.pending.sum()), "unobserved": int(self.unobserved.sum()), "young": int(young.sum())}

    def needed(self, name: str, metric: str) -> Array:
        """A column that a metric cannot do without.

        Raises:
            InputError: `rows_of` was not told which it is.
        """
        found: Array | None = getattr(self, name)
        if found is None:
            msg = f"{metric} needs to know each row's {name}. Give rows_of(frame, {name}=COLUMN)."
            raise InputError(msg)
        return found

    def outcomes(self, metric: str) -> Array:
        """`mature`, of which there are some.

        Raises:
            InputError: no row has a mature outcome.
        """
        if not self.mature.any():
            left = ", ".join(f"{count} {name}" for name, count in self.left.items())
            msg = f"{metric} is of mature outcomes, and none of the {len(self.mature)} row(s) has one: {left}. Take older events, or a later --as-of."
            raise InputError(msg)
        return self.mature


def rows_of(  # noqa: PLR0913 - a column each
    frame: pa.Table,
    *,
    entity: str | Sequence[str],
    time: str = "event_timestamp",
    score: str | None = None,
    amount: str | None = None,
    approved: str | None = None,
    flagged: str | None = None,
    explored: str | None = None,
    propensity: float | str | None = None,
    event_id: str | None = None,
) -> Rows:
    """Reads a frame of `asof frame --label`, or any table with its columns `label` and `label_status` or `label` alone.

    `label` is 1 (or true) of fraud, 0 (or false) of none, null of none yet or never. Without `label_status` a null is pending; without `label_mature`
    every label is mature. `asof_weight`, where it is there, is what a row weighs; else 1.

    Args:
        frame: a row an event.
        entity: the key column, or several, by which events hang together: card_id.
        time: of the event; timestamp, UTC.
        score: the higher, the more likely fraud. Null, NaN and infinities are refused.
        amount: in any one unit; metrics give sums in it. Null and NaN are refused, as are negative amounts.
        approved: bool; which events went through, explored ones too. Null is false.
        flagged: bool; which events the policy would stop, explored ones too. Null is false.
        explored: bool; which of those that the policy would stop were let through at random.
        propensity: with `explored`: the probability of it, a number or a column, which `asof_weight` was divided by.
        event_id: by which rows with a null key are told from one another; without, by their place.

    Raises:
        MissingError: a column is not there.
        InputError: scores, amounts or weights that are no numbers.
    """
    labels = _numbers(frame, "label")
    known = ~np.isnan(labels)
    status = frame["label_status"] if "label_status" in frame.column_names else None
    unobserved = np.zeros(len(frame), bool) if status is None else _is(status, UNOBSERVED)
    pending = ~known & ~unobserved if status is None else _is(status, PENDING)
    decided = known if status is None else _is(status, POSITIVE) | _is(status, NEGATIVE)
    mature = decided & (_flags(frame, "label_mature") if "label_mature" in frame.column_names else True)
    names, places = entities_of(frame, entity, event_id)
    weight = _checked(frame, WEIGHT) if WEIGHT in frame.column_names else np.ones(len(frame))
    return Rows(
        entity=places, entities=names, day=_micros(frame, time) // DAY, fraud=mature & (labels == 1), mature=mature,
        pending=pending, unobserved=unobserved, weight=weight, once=_once(frame, weight, explored, propensity),
        score=None if score is None else _finite(frame, score),
        amount=None if amount is None else _checked(frame, amount),
        approved=None if approved is None else _flags(frame, approved),
        flagged=None if flagged is None else _flags(frame, flagged),
        delay=_delay(frame, time) if "label_known_at" in frame.column_names else None,
    )  # fmt: skip


def entities_of(frame: pa.Table, columns: str | Sequence[str], event_id: str | None = None) -> tuple[Array, Array]:
    """The hash of each entity, and each row's place among them; by the keys' text, so 7 and "7" are one.

    A row with a null key is an entity of its own, known by its `event_id`, or by its place without.
    """
    named = (columns,) if isinstance(columns, str) else tuple(columns)
    hashed = np.zeros(len(frame), np.uint64)
    nobody = np.zeros(len(frame), bool)
    for name in named:
        column = _column(frame, name).cast(pa.string()).combine_chunks()
        nobody |= np.asarray(column.is_null().to_numpy(zero_copy_only=False))
        hashed = hashed * _MIX + hash64(pc.fill_null(column, ""))
    alone = np.flatnonzero(nobody)
    own = (
        pa.array(alone)
        if event_id is None
        else _column(frame, event_id).cast(pa.string()).combine_chunks().take(pa.array(alone))
    )
    hashed[alone] = hash64(own) ^ _MIX
    names, places = np.unique(hashed, return_inverse=True)
    return names, places.astype(np.int64)


def _once(frame: pa.Table, weight: Array, explored: str | None, propensity: float | str | None) -> Array:
    if (explored is None) != (propensity is None):
        raise InputError("explored and propensity go together: which events were let through, and how likely that was. Give both, or neither.")  # fmt: skip
    if explored is None or propensity is None:
        return weight
    share = _checked(frame, propensity) if isinstance(propensity, str) else np.full(len(frame), propensity)
    return np.where(_flags(frame, explored), weight * share, weight)


def _delay(frame: pa.Table, time: str) -> Array:
    known = pc.fill_null(frame["label_known_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0)
    return np.asarray(np.asarray(known.to_numpy()) - _micros(frame, time))


def _column(frame: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in frame.column_names:
        raise MissingError.of("column", name, frame.column_names, "Name a column of the frame.")
    return frame[name]


def _numbers(frame: pa.Table, name: str) -> Array:
    """float64, NaN of nulls."""
    column = _column(frame, name)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        msg = f"Column {name!r} is {column.type}, and holds no numbers. Name a column of numbers."
        raise InputError(msg) from None


def _finite(frame: pa.Table, name: str) -> Array:
    found = _numbers(frame, name)
    _refuse(name, found, ~np.isfinite(found), "null, NaN or infinite", "Score every row, or leave those rows out.")
    return found


def _checked(frame: pa.Table, name: str) -> Array:
    """Amounts and weights."""
    found = _numbers(frame, name)
    bad = ~(np.isfinite(found) & (found >= 0))
    _refuse(name, found, bad, "null, NaN, infinite or negative", "Correct them, or leave those rows out.")
    return found


def _refuse(name: str, values: Array, bad: Array, what: str, remedy: str) -> None:
    places = np.flatnonzero(bad)
    if len(places):
        shown = ", ".join(f"row {n} ({values[n]})" for n in places[:_SHOWN]) + (" …" if len(places) > _SHOWN else "")
        msg = f"Column {name!r} is {what} in {len(places)} row(s): {shown}. {remedy}"
        raise InputError(msg)


def _flags(frame: pa.Table, name: str) -> Array:
    column = _column(frame, name)
    if not pa.types.is_boolean(column.type):
        msg = f"Column {name!r} is {column.type}, and says neither true nor false. Name a column of booleans."
        raise InputError(msg)
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False)).astype(bool)


def _is(column: pa.ChunkedArray, value: str) -> Array:
    return np.asarray(pc.fill_null(pc.equal(column.cast(pa.string()), value), False).to_numpy(zero_copy_only=False))


def _micros(frame: pa.Table, name: str) -> Array:
    column = _column(frame, name)
    if not pa.types.is_timestamp(column.type) or column.type.tz is None or column.null_count:
        msg = f"Column {name!r} is {column.type} with {column.null_count} null(s). Name a column of instants with a zone, and none missing."
        raise InputError(msg)
    return np.asarray(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())
