"""How a feature's values are spread at a cut: a sample of an attempt's rows, read by pyarrow. No Spark, no keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from features.definitions.expressions import Scalar
from jobs.files import open_system

__all__ = ["Bar", "Spread", "spreads"]

_READ = 20_000
_SAMPLED = 8_000
_CATEGORIES = 20
"""A text with more different values is no category: its values are counted, and not shown."""
_EXACT = 12
_BINS = 16
_TAIL = 20.0
_NUMBERS = {pa.int64(): "number", pa.float64(): "number", pa.bool_(): "bool", pa.string(): "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a histogram."""

    label: str
    """A text, or nothing where `low` and `high` say it."""

    share: float
    low: float = 0.0
    """`low <= value < high`; equal where the bar is of one value."""

    high: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of one feature at one cut. Shares are of the sampled rows, quantiles of those that are not null."""

    rows: int
    """Sampled."""

    null: float
    default: float | None
    """The share that has the value of a key that was never seen; None where that is null."""

    quantiles: tuple[float, float, float] | None = None
    """p10, p50 and p90, in the feature's unit, instants as microseconds; None where there is no number."""

    mean: float | None = None
    """Of true and false: the share that is true."""

    different: int | None = None
    """Of texts: how many different values the sample has."""

    bars: tuple[Bar, ...] = field(default=())


def spreads(location: str, defaults: Mapping[str, Scalar], *, bars: bool) -> Mapping[str, Spread]:
    """By feature; columns that the files do not have are left out.

    Args:
        location: the folder of an attempt's Parquet files.
        defaults: each feature's value for a key that was never seen.
        bars: whether to count histograms too.

    Raises:
        OSError: a file cannot be read, or is no Parquet (pyarrow's ArrowInvalid, a ValueError).
    """
    rows = _sample(location, list(defaults))
    return {name: _spread(rows[name], defaults[name], bars=bars) for name in rows.column_names}


def _sample(location: str, names: Sequence[str]) -> pa.Table:
    """Row groups that lie evenly over all files, and of these every so many rows: rows lie in the order of their keys."""
    files, place = open_system(location)
    found = files.get_file_info(fs.FileSelector(place))
    opened = [
        pq.ParquetFile(files.open_input_file(item.path)) for item in sorted(found, key=lambda item: item.path) if item.path.endswith(".parquet")
    ]  # fmt: skip
    try:
        there = [name for name in names if opened and name in opened[0].schema_arrow.names]
        groups = [(file, n) for file in opened for n in range(file.metadata.num_row_groups)]
        total = sum(file.metadata.num_rows for file in opened)
        parts = [file.read_row_group(n, columns=there) for file, n in groups[:: max(1, total // _READ)]]
    finally:
        for file in opened:
            file.close()
    rows = pa.concat_tables(parts) if parts else pa.table({})
    step = max(1, -(-rows.num_rows // _SAMPLED))
    return rows if step == 1 else rows.take(pa.array(np.arange(0, rows.num_rows, step)))


def _spread(column: pa.ChunkedArray, default: Scalar, *, bars: bool) -> Spread:
    rows = len(column)
    there = column.drop_null()
    shares: dict[str, Any] = {
        "rows": rows, "null": 1 - len(there) / rows if rows else 0.0, "default": None if default is None else _share(there, default, rows),
    }  # fmt: skip
    kind = "instant" if pa.types.is_timestamp(column.type) else _NUMBERS.get(column.type, "")
    match kind:
        case "number" | "instant" if len(there):
            values = (there.cast(pa.int64()) if kind == "instant" else there).to_numpy().astype(np.float64)
            values = values[np.isfinite(values)]
            if len(values):
                low, mid, high = np.quantile(values, (0.1, 0.5, 0.9), method="inverted_cdf")
                shares["quantiles"] = (float(low), float(mid), float(high))
                shares["bars"] = tuple(_bars(values)) if bars else ()
        case "bool" if len(there):
            shares["mean"] = float(np.mean(there.to_numpy()))
            shares["bars"] = tuple(_categories(there, len(there))) if bars else ()
        case "text":
            counted = pc.count_distinct(there).as_py()
            shares["different"] = counted
            shares["bars"] = tuple(_categories(there, len(there))) if bars and counted <= _CATEGORIES else ()
        case _:
            pass
    return Spread(**shares)


def _share(there: pa.ChunkedArray, default: Scalar, rows: int) -> float:
    met = pc.sum(pc.equal(there, pa.scalar(default, there.type))).as_py() or 0
    return float(met / rows) if rows else 0.0


def _categories(there: pa.ChunkedArray, rows: int) -> Iterable[Bar]:
    counted = sorted(pc.value_counts(there).to_pylist(), key=lambda each: (-each["counts"], str(each["values"])))
    for each in counted:
        label = {True: "true", False: "false"}.get(each["values"], str(each["values"]))
        yield Bar(label=label, share=each["counts"] / rows)


def _bars(values: np.ndarray) -> Iterable[Bar]:
    """A bar a value where there are few; else of equal width up to the 99th percentile, on a logarithmic scale where the tail is long."""
    kinds, counts = np.unique(values, return_counts=True)
    if len(kinds) <= _EXACT:
        for kind, count in zip(kinds, counts, strict=True):
            yield Bar(label="", share=float(count / len(values)), low=float(kind), high=float(kind))
        return
    low, mid, high = np.quantile(values, (0.01, 0.5, 0.99), method="inverted_cdf")
    high = high if high > low else kinds[-1]
    if low >= 0 and high > _TAIL * max(float(mid), 1.0):
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), _BINS + 1))
    else:
        edges = np.linspace(low, high, _BINS + 1)
    met, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    for n, count in enumerate(met):
        yield Bar(label="", share=float(count / len(values)), low=float(edges[n]), high=float(edges[n + 1]))
