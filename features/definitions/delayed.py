"""The short forms of rates whose outcome comes late: fraud per payment, where fraud is told of weeks after.

A naive rate, outcomes known today over events, tells a model at training what nobody knew when it scored. Each of these is the same then and live.
"""

from features.definitions.expressions import Expression
from features.definitions.features import ArrivalRate, CohortRate, LagCorrectedRate
from features.definitions.sources import Source
from features.definitions.windows import Window

__all__ = ["arrival_rate", "cohort_rate", "lag_corrected_rate"]


def cohort_rate(  # noqa: PLR0913 - keywords an author may leave out
    outcomes: Source, *, of: str, over: str, delay: str, eligible: Expression | None = None, suffix: str = "",
    step: str | None = None, smoothed: float | None = None,
) -> tuple[CohortRate, ...]:  # fmt: skip
    """Share of matured events with a known outcome, over several windows that all end `delay` ago.

    Exact and slow: it says nothing of the last `delay`. Null without events.

    Args:
        outcomes: the source of outcomes.
        of: its column with the event's id.
        over: lengths of windows, as `"7d 30d"`.
        delay: after which most outcomes are known.
        eligible: which events count.
        suffix: goes into the names.
        step: of the windows' edges.
        smoothed: m, see `Rate`; the rate of a key with few events leans towards that of all keys.
    """
    stem = _stem(outcomes, "rate", smoothed, suffix)
    return tuple(
        CohortRate(
            name=f"{stem}_{window.label}", outcomes=outcomes.name, of=of, eligible=eligible, window=window, smoothed=smoothed
        )
        for window in (Window(length, delay, step) for length in over.split())
    )  # fmt: skip


def arrival_rate(
    outcomes: Source, *, of: str, over: str, eligible: Expression | None = None, suffix: str = "",
    step: str | None = None, smoothed: float | None = None,
) -> tuple[ArrivalRate, ...]:  # fmt: skip
    """Outcomes that arrived in a window, of events of any age, over the events in it: quick, and wrong where volume grows or shrinks.

    May exceed 1; null without events in the window. Arguments as of `cohort_rate`.
    """
    stem = _stem(outcomes, "arrival_rate", smoothed, suffix)
    return tuple(
        ArrivalRate(
            name=f"{stem}_{window.label}", outcomes=outcomes.name, of=of, eligible=eligible, window=window, smoothed=smoothed
        )
        for window in (Window(length, step=step) for length in over.split())
    )  # fmt: skip


def lag_corrected_rate(  # noqa: PLR0913 - keywords an author may leave out
    outcomes: Source, *, of: str, over: str, mature: str = "120d", least: float = 0.1, eligible: Expression | None = None,
    suffix: str = "", step: str | None = None, smoothed: float | None = None,
) -> tuple[LagCorrectedRate, ...]:  # fmt: skip
    """Known outcomes of the events in a window over those that would be known by now if every event had one: quick, and right on average.

    Null without an event old enough, or before any outcome of a mature event is known. Arguments as of `cohort_rate`, and:

    Args:
        outcomes: the source of outcomes.
        of: its column with the event's id.
        over: lengths of windows, which end at the cut.
        mature: H, whole days: an outcome comes within it, or counts as none of the lag curve's.
        least: g0: ages at which a smaller share of outcomes has arrived are left out.
        eligible: which events count.
        suffix: goes into the names.
        step: of the windows' edges.
        smoothed: m, see `Rate`.
    """
    stem = _stem(outcomes, "corrected_rate", smoothed, suffix)
    return tuple(
        LagCorrectedRate(
            name=f"{stem}_{window.label}", outcomes=outcomes.name, of=of, eligible=eligible, window=window, smoothed=smoothed,
            mature=mature, least=least,
        )
        for window in (Window(length, step=step) for length in over.split())
    )  # fmt: skip


def _stem(outcomes: Source, kind: str, smoothed: float | None, suffix: str) -> str:
    return "_".join(part for part in (outcomes.name, kind, "" if smoothed is None else "smoothed", suffix) if part)
