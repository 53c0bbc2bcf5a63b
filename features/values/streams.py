"""The rows that one group of aggregates reads, with the edges of each window over them."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.definitions.windows import Window
from features.values import kernels
from features.values.hashing import hash64
from features.values.timeline import Asks, Timeline

__all__ = ["Stream", "bounds", "codes_of_line", "encoded"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The rows that one group of aggregates reads, and each window's edges over them."""

    rows: Timeline
    places: Array | None
    """Of the rows in the view's line; None where they are all of them, or in another order."""

    asks: Asks
    anchor: Array
    remember: int
    watched: kernels.Visibility
    spans: dict[Window, tuple[Array, Array, Array]] = field(default_factory=dict)
    totals: dict[Window, Array] = field(default_factory=dict)
    ends: dict[tuple[int, int], Array] = field(default_factory=dict)

    def span(self, window: Window) -> tuple[Array, Array, Array]:
        """First row, end row, and whether all between are visible, an ask."""
        if window not in self.spans:
            lower, upper = bounds(window, self.anchor, self.remember)
            end = window.offset_us, window.step_us if window.offset_us else 0
            if end not in self.ends:
                found = self.edge(upper)
                self.ends[end] = found if window.offset_us else self.rows.behind_own(self.asks.key, found, upper)
            lo, hi = self.edge(lower), self.ends[end]
            self.spans[window] = lo, hi, self.clean(lo, hi)
        return self.spans[window]

    def edge(self, bound: Array) -> Array:
        """The first row of each ask's key at `bound` or later."""
        return kernels.edges(self.rows.key, self.rows.time, self.asks.key, bound)

    def clean(self, lo: Array, hi: Array) -> Array:
        """Whether all rows between are visible."""
        if self.rows.plain:
            return np.ones(len(lo), dtype=bool)
        return kernels.clean(self.rows.since, self.rows.until, self.asks.instant, lo, hi)

    @property
    def seen(self) -> tuple[Array, Array, Array]:
        """What kernels take that look at every row: since, until, instant."""
        return self.rows.since, self.rows.until, self.asks.instant

    def count(self, window: Window) -> Array:
        """Visible rows of a window, an ask."""
        if window not in self.totals:
            self.totals[window] = kernels.counts(self.watched, self.asks.instant, *self.span(window))
        return self.totals[window]

    def added(self, limbs: Array, window: Window) -> Array:
        """Each limb, summed."""
        return kernels.limb_sums(limbs, self.watched, self.asks.instant, *self.span(window))


def bounds(window: Window, anchor: Array, remember: int) -> tuple[Array, Array]:
    """Where a window of each ask begins, and before what it ends."""
    upper = anchor - window.offset_us
    step = window.step_us
    lower = (upper - (window.length_us or remember)) // step * step
    return lower, upper // step * step if window.offset_us else upper


def codes_of_line(line: Timeline, column: str) -> tuple[Array, int]:
    """The number of each value of a column, all rows of a line, and how many there are; made once."""
    if column not in line.codes:
        line.codes[column] = encoded(line.columns[column])
    return line.codes[column]


def encoded(column: pa.Array) -> tuple[Array, int]:
    """The number of each value by its hash, and how many there are."""
    encoded = pa.array(hash64(column)).dictionary_encode()
    return np.asarray(encoded.indices).astype(np.int64), len(encoded.dictionary)
