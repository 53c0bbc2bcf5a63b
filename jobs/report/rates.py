"""Rates that wait for their outcomes beside naive ones: what the same model is worth in a backtest, and once it is used. No Spark.

A naive rate counts the frauds that are known when the data ends over the payments of the days before: what a join of payments and disputes gives. When the
model is used the frauds of those days are not known yet, and the same question gets another answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.durations import DAY
from jobs.metrics import Rows, auc_roc, average_precision, recall_at
from jobs.report.judged import budget_of, judged
from jobs.report.models import fitted, scored

__all__ = ["DAYS", "KEYS", "Known", "naive", "rates"]

Array = np.ndarray
KEYS = ("merchant_id", "bin")
DAYS = (7, 30)
"""Windows of the naive rates, before each payment."""
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Payments of one kind of key, sorted by (key, time), microseconds UTC."""

    key: Array
    time: Array
    fraud_known: Array
    """When it became known as fraud; the largest int64 of those that never did."""

    @staticmethod
    def of(key: Array, time: Array, fraud_known: Array) -> "Known":
        """In any order."""
        order = np.lexsort((time, key))
        return Known(key=key[order], time=time[order], fraud_known=fraud_known[order])


def naive(known: Known, key: Array, time: Array, days: int, seen: Array) -> Array:
    """The share of frauds known before `seen` among the key's payments of the days before each instant; NaN without payments.

    Args:
        known: all payments.
        key: of each ask; codes as in `known`.
        time: of each ask; a payment at that instant is not before it.
        days: the window.
        seen: of each ask, before when a fraud must be known to count.
    """
    begin, end = _edges(known.key, known.time, key, time, days)
    fraud = np.flatnonzero(known.fraud_known < _NEVER)
    first, last = _edges(known.key[fraud], known.time[fraud], key, time, days)
    told = known.fraud_known[fraud]
    count = np.fromiter(
        ((told[low:high] < until).sum() for low, high, until in zip(first, last, seen, strict=True)), np.float64, len(key)
    )  # fmt: skip
    paid = end - begin
    return np.where(paid > 0, count / np.maximum(paid, 1), np.nan)


def _edges(keys: Array, times: Array, key: Array, time: Array, days: int) -> tuple[Array, Array]:
    """Where each ask's window begins and ends among payments sorted by (key, time)."""
    starts = np.searchsorted(keys, np.arange(int(max(keys.max(initial=0), key.max(initial=0))) + 2))
    begin, end = np.empty(len(key), np.int64), np.empty(len(key), np.int64)
    for code in np.unique(key):
        rows, low, high = key == code, starts[code], starts[code + 1]
        own = times[low:high]
        begin[rows] = low + np.searchsorted(own, time[rows] - days * DAY)
        end[rows] = low + np.searchsorted(own, time[rows])
    return begin, end


def rates(
    frame: pa.Table, events: pa.Table, held: tuple[Array, Rows], own: Mapping[str, Array], options: Mapping[str, float]
) -> dict[str, object]:
    """Both kinds of rates in the same plain model: naive in the backtest and in use, ours, whose values are the same in both.

    Args:
        frame: rows to learn from and to judge by, with a settled fraud label each, `label` (0, 1) and `weight`.
        events: all payments, with `label` and `label_known_at`.
        held: which of the frame's rows are held back, bool, and those rows for the metrics.
        own: values of Asof's rates by column, a row of the frame each.
        options: `budget` as a share, `samples`, `seed`.

    Returns:
        By score (naive in backtest, naive in use, ours) its metrics and the gain over naive in use.
    """
    late, rows = held
    time = _micros(frame, "event_timestamp")
    ended = np.full(len(frame), _NEVER)
    columns = [_naive(frame, events, time, seen) for seen in (ended, time)]
    label, weight = frame["label"].to_numpy().astype(np.int64), frame["weight"].to_numpy()
    seed = int(options["seed"])
    careless = fitted(columns[0][~late], label[~late], weight[~late], seed)
    mine = np.stack(list(own.values()), axis=1)
    careful = fitted(mine[~late], label[~late], weight[~late], seed)
    scores = {
        "naive, in the backtest": scored(careless, columns[0][late]), "naive, in use": scored(careless, columns[1][late]),
        "ours": scored(careful, mine[late]),
    }  # fmt: skip
    budget = budget_of(rows, options["budget"])
    metrics = {"auc": auc_roc(), "average precision": average_precision(), "recall": recall_at(budget, by="count")}
    judged_rows = replace(rows, fraud=label[late] == 1)
    found = judged(judged_rows, scores, metrics, base="naive, in use", samples=int(options["samples"]), seed=seed)
    return {
        "rows": {"train": int((~late).sum()), "held back": int(late.sum())},
        "frauds": {"train": int(label[~late].sum()), "held back": int(label[late].sum())},
        "budget": budget,
        "scores": {
            name: {part: {metric: each.record() for metric, each in values.items()} for part, values in one.items()} for name, one in found.items()
        },
    }  # fmt: skip


def _naive(frame: pa.Table, events: pa.Table, time: Array, seen: Array) -> Array:
    """A column for each key and window."""
    fraud = pc.equal(pc.fill_null(events["label"], 0), 1).combine_chunks()
    told = pc.if_else(fraud, pc.fill_null(events["label_known_at"].cast(pa.int64()), _NEVER), _NEVER)
    made = []
    for name in KEYS:
        both = pa.concat_arrays([events[name].combine_chunks(), frame[name].combine_chunks()]).dictionary_encode()
        codes = np.asarray(both.indices.fill_null(len(both.dictionary)).to_numpy(zero_copy_only=False))
        known = Known.of(codes[: len(events)], _micros(events, "event_timestamp"), np.asarray(told.to_numpy()))
        made += [naive(known, codes[len(events) :], time, days, seen) for days in DAYS]
    return np.stack(made, axis=1)


def _micros(rows: pa.Table, name: str) -> Array:
    return np.asarray(rows[name].cast(pa.int64()).to_numpy())
