"""When a value may change: at cuts of a schedule, or with every event (semantics 1)."""

from dataclasses import dataclass
from typing import Literal

from features.definitions.checks import complain, where_defined
from features.definitions.durations import duration

__all__ = ["DAILY", "HOURLY", "EventFreshness", "Freshness", "Schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Cuts are phase + n x period since the epoch, UTC; a cut is published `publish_lag` later."""

    period: str = "1d"
    phase: str = "0"
    publish_lag: str = "1h"
    anchor: Literal["cut", "ask"] = "cut"
    """Where windows end: at the cut (constant until the next), or at the asked instant over what the cut knew."""

    def __post_init__(self) -> None:
        try:
            if not 0 <= self.phase_us < self.period_us or self.lag_us >= self.period_us:
                complain(where_defined(), f"Schedule({self.period!r})", f"phase {self.phase!r} or publish_lag {self.publish_lag!r} is not below it.",
                         "Both lie within one period.")  # fmt: skip
        except ValueError as error:
            complain(where_defined(), f"Schedule({self.period!r})", str(error), "")

    @property
    def period_us(self) -> int:
        """Microseconds."""
        return duration(self.period)

    @property
    def phase_us(self) -> int:
        """Microseconds."""
        return duration(self.phase)

    @property
    def lag_us(self) -> int:
        """The publish lag P, in microseconds."""
        return duration(self.publish_lag)

    def cut_before(self, instant: int) -> int:
        """The newest cut `c <= instant`."""
        return (instant - self.phase_us) // self.period_us * self.period_us + self.phase_us

    def cut_served(self, instant: int) -> int:
        """k(t): the newest cut `c` with `c + P <= instant`."""
        return self.cut_before(instant - self.lag_us)

    def is_cut(self, instant: int) -> bool:
        """Whether an instant lies on the grid."""
        return self.cut_before(instant) == instant


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFreshness:
    """Exact now: an event counts `lag` after it is known; later versions and late firsts from the next cut on, plus its P."""

    lag: str = "0"
    lateness: str = "1h"
    """The most by which known_at follows event_time for a first version to count at once."""

    silence: str = "5m"
    """How long the stream may say nothing, neither an event nor that there is none, before lookups are stale."""

    cuts: Schedule = Schedule()

    def __post_init__(self) -> None:
        try:
            _ = self.lag_us, self.lateness_us, self.silence_us
        except ValueError as error:
            complain(where_defined(), "EventFreshness", str(error), "")

    @property
    def lag_us(self) -> int:
        """Microseconds."""
        return duration(self.lag)

    @property
    def lateness_us(self) -> int:
        """Microseconds."""
        return duration(self.lateness)

    @property
    def silence_us(self) -> int:
        """Microseconds."""
        return duration(self.silence)


Freshness = Schedule | EventFreshness
DAILY = Schedule()
HOURLY = Schedule(period="1h", publish_lag="10m")
