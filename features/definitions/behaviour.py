"""The short forms of aggregations that look at the course of events, and `aggregate` for any that has none of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from features.definitions.aggregations.decayed import HALF_LIVES
from features.definitions.aggregations.runs import OF_THE_RUN, THEN
from features.definitions.authoring import count
from features.definitions.durations import duration
from features.definitions.expressions import Expression, case, col
from features.definitions.features import Aggregate
from features.definitions.windows import Window, windows

__all__ = [
    "aggregate",
    "burst",
    "count_by",
    "decayed_count",
    "decayed_mean",
    "decayed_sum",
    "distinct_sketch",
    "entropy",
    "gap_cv",
    "gap_mean",
    "last_k",
    "pairs",
    "quantile",
    "runs",
    "speed",
    "top_k",
    "trend",
]

Windows = str | Window | tuple[Window, ...]


def aggregate(
    operation: str, over: Windows, *, column: str | None = None, inputs: tuple[Expression, ...] = (),
    parameters: Mapping[str, float] | None = None, where: Expression | None = None, suffix: str = "",
) -> tuple[Aggregate, ...]:  # fmt: skip
    """Any aggregation of docs/aggregations.md: one aggregate a window, named `operation[_column][_suffix]_window`."""
    stem = "_".join(part for part in (operation, column, suffix) if part)
    return tuple(
        Aggregate(name=f"{stem}_{window.label}", operation=operation, column=column, inputs=inputs, window=window, where=where,
                  parameters=tuple((parameters or {}).items()))
        for window in windows(over)
    )  # fmt: skip


def gap_mean(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Mean microseconds between consecutive rows. Null below two rows."""
    return aggregate("gap_mean", over, where=where, suffix=suffix)


def gap_cv(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """How uneven the gaps are: standard deviation over mean. Null below three rows."""
    return aggregate("gap_cv", over, where=where, suffix=suffix)


def trend(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """Rows a step more, from one whole step of the window to the next. Null when empty."""
    return aggregate("trend", over, where=where, suffix=suffix)


def burst(over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """The most rows in one step of the window. 0 when empty."""
    return aggregate("burst", over, where=where, suffix=suffix)


def pairs(
    column: str, over: Windows, *, take: Literal["max", "mean"], where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """Largest or mean difference between consecutive values, without its sign. Null below two values."""
    return aggregate(f"pairs_{take}", over, column=column, where=where, suffix=suffix)


def speed(
    latitude: str, longitude: str, over: Windows, *, take: Literal["max", "mean"], where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:  # fmt: skip
    """Largest or mean speed between consecutive places (degrees), in km/h. Null without two places at different instants."""
    return aggregate(f"speed_{take}", over, inputs=(col(latitude), col(longitude)), where=where, suffix=suffix)


def runs(
    over: Windows, *, of: Expression, then: Expression, at_least: int, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """How often at least so many rows in a row that meet `of` are directly followed by one that meets `then` and not `of`. 0 when empty."""
    kind = case((of, OF_THE_RUN), (then, THEN), otherwise=0)
    return aggregate("runs", over, inputs=(kind,), parameters={"at_least": at_least}, where=where, suffix=suffix)


def decayed_count(
    half_life: str, *, over: Windows | None = None, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """Rows by weight 2^-(age / half_life), over 64 half-lives unless `over` says less. 0.0 when empty."""
    return _decayed("decayed_count", None, half_life, over, where, suffix)


def decayed_sum(
    column: str, half_life: str, *, over: Windows | None = None, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """Values by weight 2^-(age / half_life), over 64 half-lives unless `over` says less. 0.0 when empty."""
    return _decayed("decayed_sum", column, half_life, over, where, suffix)


def decayed_mean(
    column: str, half_life: str, *, over: Windows | None = None, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """Mean by weight 2^-(age / half_life), over 64 half-lives unless `over` says less. Null when empty."""
    return _decayed("decayed_mean", column, half_life, over, where, suffix)


def _decayed(
    operation: str, column: str | None, half_life: str, over: Windows | None, where: Expression | None, suffix: str
) -> tuple[Aggregate, ...]:
    """Named `operation[_column][_suffix]_half_life`, and by the window where one is given."""
    made = aggregate(operation, over or _times(half_life, HALF_LIVES), column=column, where=where,
                     parameters={"half_life": duration(half_life)})  # fmt: skip
    stem = "_".join(part for part in (operation, column, suffix, half_life) if part)
    return tuple(replace(item, name=f"{stem}_{item.window.label}" if over else stem) for item in made)


def _times(length: str, by: int) -> str:
    return re.sub(r"\d+", lambda number: str(by * int(number[0])), length)


def count_by(
    column: str, over: Windows, *, categories: Sequence[str | int], where: Expression | None = None
) -> tuple[Aggregate, ...]:
    """Rows of each category, and of all others, null among them: `count_<column>_<category>_<window>` and `…_other_…`. 0 when empty."""
    rest = col(column).is_null() | ~col(column).isin(*categories)
    parts = [(str(value), col(column) == value) for value in categories] + [("other", rest)]
    return tuple(
        item
        for name, met in parts
        for item in count(over, where=met if where is None else where & met, suffix=f"{column}_{name}")
    )


def entropy(column: str, over: Windows, *, where: Expression | None = None, suffix: str = "") -> tuple[Aggregate, ...]:
    """How evenly the values occur, in nats. Null when empty."""
    return aggregate("entropy", over, column=column, where=where, suffix=suffix)


def top_k(
    column: str, over: Windows, *, k: int, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """The k most frequent values, each a feature: `top_<rank>_<column>[_<suffix>]_<window>`. Null where there are fewer."""
    return tuple(
        replace(item, name="_".join(part for part in (f"top_{rank}", column, suffix, item.window.label) if part))
        for rank in range(1, k + 1)
        for item in aggregate("top_k", over, column=column, parameters={"rank": rank}, where=where)
    )


def last_k(
    column: str, over: Windows, *, k: int, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """The k newest values and their ages: `last_<rank>_<column>[_<suffix>]_<window>`, `time_since_last_<rank>_…`. Null where there are fewer."""
    return tuple(
        replace(item, name="_".join(part for part in (f"{stem}_{rank}", column, suffix, item.window.label) if part))
        for operation, stem in (("last_k", "last"), ("time_since_last_k", "time_since_last"))
        for rank in range(1, k + 1)
        for item in aggregate(operation, over, column=column, parameters={"rank": rank}, where=where)
    )


def distinct_sketch(
    column: str, over: Windows, *, precision: int = 12, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:
    """About how many different values, of any number; `precision` 12 is off by 1.6% (one standard error). 0 when empty. Few: `distinct` is exact."""
    return aggregate(
        "distinct_sketch", over, column=column, parameters={"precision": precision}, where=where, suffix=suffix
    )


def quantile(
    column: str, over: Windows, *, percent: int, accuracy: float = 0.01, where: Expression | None = None, suffix: str = ""
) -> tuple[Aggregate, ...]:  # fmt: skip
    """About that percentile, within `accuracy` relatively, named `p<percent>_<column>[_<suffix>]_<window>`. Null when empty."""
    made = aggregate(
        "quantile", over, column=column, parameters={"q": percent / 100, "accuracy": accuracy}, where=where
    )
    return tuple(
        replace(item, name="_".join(part for part in (f"p{percent}", column, suffix, item.window.label) if part))
        for item in made
    )
