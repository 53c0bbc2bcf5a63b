"""Look-back windows over event time: half-open, ending at the anchor less the offset (semantics 3)."""

from dataclasses import dataclass
from typing import NamedTuple

from features.definitions.checks import complain, where_defined
from features.definitions.durations import DAY, HOUR, MINUTE, SECOND, duration, floor_to

__all__ = ["EVER", "STEPS", "Bounds", "Window", "windows"]

STEPS = (
    SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY,
)  # fmt: skip
_EXACT_BELOW = 48 * SECOND


class Bounds(NamedTuple):
    """`lower <= event_time < upper`, in microseconds UTC."""

    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class Window:
    """`[a - offset - length, a - offset)`, its edges floored to the step.

    >>> Window("24h").step_us == 30 * 60 * 1_000_000  # the coarsest step that is at most a 48th of the length
    True
    """

    length: str
    """A duration, or "ever": everything the view remembers, floored to a day."""

    offset: str = "0"
    """How long before the anchor the window ends. With a step, both edges are floored."""

    step: str | None = None
    """A step of semantics 3, "exact", or None for the default."""

    def __post_init__(self) -> None:
        try:
            long_enough = self.length == "ever" or duration(self.length) > 0
            duration(self.offset)
            step_known = self.step in {None, "exact"} or duration(self.step or "") in STEPS
        except ValueError as error:
            complain(where_defined(), f"Window({self.length!r})", str(error), "")
            return
        if not long_enough:
            complain(where_defined(), f"Window({self.length!r})", "its length is zero.", "Give it a positive duration.")
        if not step_known:
            complain(where_defined(), f"Window({self.length!r})", f"step {self.step!r} is not on the list.",
                     "Use 1s 5s 15s 30s 1m 5m 15m 30m 1h 3h 6h 1d, or step='exact'.")  # fmt: skip
        if self.length == "ever" and (self.step is not None or self.offset != "0"):
            complain(where_defined(), "Window('ever')", "it has a step or an offset of its own.", "Leave both away.")

    @property
    def length_us(self) -> int | None:
        """Microseconds; None for "ever"."""
        return None if self.length == "ever" else duration(self.length)

    @property
    def offset_us(self) -> int:
        """Microseconds."""
        return duration(self.offset)

    @property
    def step_us(self) -> int:
        """Microseconds; 1 where edges are exact."""
        length = self.length_us
        if length is None:
            return DAY
        if self.step == "exact":
            return 1
        if self.step is not None:
            return duration(self.step)
        if length < _EXACT_BELOW:
            return 1
        return max(step for step in STEPS if step * 48 <= length)

    @property
    def overshoot_us(self) -> int:
        """The most by which the lower edge reaches further back than the length says, in microseconds."""
        return self.step_us - 1

    @property
    def label(self) -> str:
        """What a feature's name says of it: `7d`, `30d_offset_7d`, `ever`."""
        return self.length if self.offset == "0" else f"{self.length}_offset_{self.offset}"

    def bounds(self, anchor: int, remember: int) -> Bounds:
        """The edges for an anchor; `remember` is the length of "ever". All in microseconds UTC."""
        length = remember if self.length_us is None else self.length_us
        upper = anchor - self.offset_us
        lower = floor_to(upper - length, self.step_us)
        return Bounds(lower, floor_to(upper, self.step_us) if self.offset_us else upper)


EVER = Window("ever")


def windows(spec: "str | Window | tuple[Window, ...]") -> tuple[Window, ...]:
    """Several windows in one word: `"1h 24h 7d"`."""
    if isinstance(spec, Window):
        return (spec,)
    if isinstance(spec, tuple):
        return spec
    return tuple(Window(length) for length in spec.split())
