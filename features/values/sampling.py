"""Which labelled events a frame takes, and the weights that undo it. The same events under one seed, whatever else is there. Arrow and numpy, no Spark.

An event's place is the hash of its id, a seed and a purpose, as a number in [0, 1): an event is taken where that is below its rate.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.durations import DAY
from features.definitions.services import Label
from features.errors import InputError
from features.values.expressions import mask
from features.values.hashing import hash64
from features.values.labels import NEGATIVE, POSITIVE, STATUSES
from features.values.partition import codes_of

__all__ = ["WEIGHT", "Cap", "Rate", "Sampling", "capped", "parse_sampling", "placed", "thinned", "weighted"]

Array = np.ndarray
WEIGHT = "asof_weight"
"""The column of weights: the inverse of the probability that the row is here."""

_BITS = 53
_MATURE = "mature"
_SHOWN = 3
_HOW = (
    "Write negatives=RATE, rate:COLUMN:VALUE=RATE, cap:COLUMN=ROWS, cap:COLUMN/day=ROWS, keep=STATUS,STATUS, keep=mature or seed=NUMBER, "
    "where a RATE is in (0, 1] and ROWS is at least 1."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The share that is taken of the events of one stratum."""

    column: str
    value: str
    """As text; empty for null."""

    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most so many rows of one entity, of each UTC day or in all; rows with a null key are of no entity and all stay."""

    columns: tuple[str, ...]
    rows: int
    a_day: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """All of it is optional; without, every event is taken once."""

    seed: int = 0
    negatives: float = 1.0
    """The share that is taken of negative events."""

    rates: tuple[Rate, ...] = ()
    """Rates of several columns, and of negatives, multiply."""

    caps: tuple[Cap, ...] = ()
    """Applied to what the rates left, one after the other."""

    keep: tuple[str, ...] = STATUSES
    """Events of other statuses are left out; that is no sampling, and no weight undoes it."""

    mature: bool = False
    """Only events whose horizon has passed. Without, `keep` of positives and negatives takes the positives of young events, and not their negatives."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the events that it reads."""
        return tuple(
            dict.fromkeys([*(rate.column for rate in self.rates), *(name for cap in self.caps for name in cap.columns)])
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """As `parse_sampling` reads it, each part said."""
        rates = (f"rate:{item.column}:{item.value}={item.rate!r}" for item in self.rates)
        caps = (f"cap:{','.join(item.columns)}{'/day' * item.a_day}={item.rows}" for item in self.caps)
        return (
            f"seed={self.seed}",
            f"negatives={self.negatives!r}",
            *rates,
            *caps,
            "keep=mature" if self.mature else f"keep={','.join(self.keep)}",
        )


def parse_sampling(texts: Sequence[str]) -> Sampling:
    """`negatives=0.1`, `rate:channel:web=0.5`, `cap:card_id/day=5`, `keep=positive,negative`, `seed=7`, each as one text. `keep=mature`: positive and negative events whose horizon has passed.

    Raises:
        InputError: a text is none of these, a rate is outside (0, 1], or something is said twice.
    """
    once: dict[str, object] = {}
    rates: list[Rate] = []
    caps: list[Cap] = []
    for text in texts:
        said, _, value = text.rpartition("=")
        if found := re.fullmatch(r"rate:([^:]+):(.*)", said):
            rates.append(Rate(column=found[1], value=found[2], rate=_rate(text, value)))
        elif found := re.fullmatch(r"cap:([^/]+)(/day)?", said):
            caps.append(
                Cap(columns=tuple(found[1].split(",")), rows=_count(text, value, 1), a_day=found[2] is not None)
            )
        elif said in once:
            msg = f"--sample {text} says {said} again. Say it once."
            raise InputError(msg)
        else:
            once[said] = _single(text, said, value)
    strata = Counter(f"{rate.column}:{rate.value}" for rate in rates)
    if twice := sorted(name for name, count in strata.items() if count > 1):
        msg = f"--sample gives {', '.join(twice)} two rates. Give one."
        raise InputError(msg)
    if once.get("keep") == _MATURE:
        once |= {"keep": (POSITIVE, NEGATIVE), "mature": True}
    return Sampling(rates=tuple(rates), caps=tuple(caps), **once)  # type: ignore[arg-type]


def _single(text: str, said: str, value: str) -> object:
    if said == "negatives":
        return _rate(text, value)
    if said == "seed":
        return _count(text, value, 0)
    if said == "keep" and value == _MATURE:
        return _MATURE
    if said == "keep" and set(value.split(",")) <= set(STATUSES):
        return tuple(status for status in STATUSES if status in value.split(","))
    raise _wrong(text)


def _wrong(text: str) -> InputError:
    return InputError(f"--sample {text} is not understood. {_HOW}")


def _rate(text: str, value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        raise _wrong(text) from None
    if not 0 < rate <= 1:
        msg = f"--sample {text}: a rate is in (0, 1]. To leave a status out, write keep=STATUS,STATUS."
        raise InputError(msg)
    return rate


def _count(text: str, value: str, least: int) -> int:
    if not re.fullmatch(r"\d+", value) or int(value) < least:
        raise _wrong(text)
    return int(value)


def placed(ids: pa.ChunkedArray, seed: int, purpose: str) -> Array:
    """A number in [0, 1) an id, by nothing but the id's text, the seed and the purpose; a null id is the empty text."""
    text = pc.fill_null(ids.cast(pa.string()), "").combine_chunks()
    salted = pc.binary_join_element_wise(purpose, str(seed), text, "\x1f")
    return (hash64(salted) >> np.uint64(64 - _BITS)).astype(np.float64) / 2.0**_BITS


def weighted(label: Label, rows: pa.Table) -> pa.Table:
    """The rows with the weight column: 1 / propensity where the event was explored, which stands for those that were blocked; else 1.

    Raises:
        InputError: the propensity of an explored event is null or outside (0, 1].
    """
    weight = np.ones(len(rows))
    if label.propensity is not None:
        columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        explored = mask(label.explored, columns, len(rows))
        given = (
            rows[label.propensity].to_numpy()
            if isinstance(label.propensity, str)
            else np.full(len(rows), label.propensity)
        )
        if len(bad := np.flatnonzero(explored & ~((given > 0) & (given <= 1)))):
            ids = rows[label.event_source.event_id or ""]
            shown = ", ".join(f"{ids[n].as_py()} ({given[n]})" for n in bad[:_SHOWN].tolist()) + (
                " …" if len(bad) > _SHOWN else ""
            )
            msg = (
                f"Label {label.name!r}: the propensity {label.propensity!r} of {len(bad)} explored event(s) is null or outside (0, 1]: {shown}. "
                "Correct them in the source, or give the label a number."
            )
            raise InputError(msg)
        weight[explored] = 1 / given[explored]
    return rows.append_column(WEIGHT, pa.array(weight))


def thinned(sampling: Sampling, rows: pa.Table, event_id: str) -> pa.Table:
    """The rows that are kept and taken by their rates, each row by itself; their weights divided by the rate.

    Args:
        sampling: what is taken.
        rows: labelled and weighted events.
        event_id: the column of their ids.
    """
    rate = np.ones(len(rows))
    rate[_equal(rows["label_status"], NEGATIVE)] = sampling.negatives
    for item in sampling.rates:
        rate[_equal(rows[item.column], item.value)] *= item.rate
    kept = np.asarray(pc.is_in(rows["label_status"], value_set=pa.array(sampling.keep)).to_numpy(zero_copy_only=False))
    if sampling.mature:
        kept = kept & np.asarray(rows["label_mature"].to_numpy())
    taken = kept & (placed(rows[event_id], sampling.seed, "rate") < rate)
    return _reweighted(rows, 1 / rate).filter(pa.array(taken))


def capped(sampling: Sampling, rows: pa.Table, event_id: str) -> pa.Table:
    """At most a cap's rows of each entity: those whose places come first. The weights of n rows of which c stay grow by n / c."""
    for n, cap in enumerate(sampling.caps):
        rows = _capped(cap, rows, placed(rows[event_id], sampling.seed, f"cap {n}"))
    return rows


def _capped(cap: Cap, rows: pa.Table, place: Array) -> pa.Table:
    nobody = np.logical_or.reduce(
        [np.asarray(rows[name].is_null().to_numpy(zero_copy_only=False)) for name in cap.columns]
    )
    there = np.flatnonzero(~nobody)
    if not len(there):
        return rows
    of_entity = rows.take(pa.array(there))
    keys = [of_entity[name] for name in cap.columns]
    if cap.a_day:
        keys.append(pa.chunked_array([pa.array(of_entity["event_timestamp"].cast(pa.int64()).to_numpy() // DAY)]))
    codes, firsts = codes_of(keys)
    order = np.lexsort((place[there], codes))
    sizes = np.bincount(codes, minlength=len(firsts))
    position = np.empty(len(there), np.int64)
    position[order] = np.arange(len(there)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stay, factor = np.ones(len(rows), bool), np.ones(len(rows))
    stay[there] = position < cap.rows
    factor[there] = np.maximum(sizes[codes] / cap.rows, 1.0)
    return _reweighted(rows, factor).filter(pa.array(stay))


def _equal(column: pa.ChunkedArray, value: str) -> Array:
    return np.asarray(pc.equal(pc.fill_null(column.cast(pa.string()), ""), value).to_numpy(zero_copy_only=False))


def _reweighted(rows: pa.Table, factor: Array) -> pa.Table:
    weight = rows[WEIGHT].to_numpy() * factor
    return rows.set_column(rows.schema.get_field_index(WEIGHT), WEIGHT, pa.array(weight))
