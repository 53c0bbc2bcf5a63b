"""Anomalies: the short form of a score with its reasons, and whether one has all that it needs."""

import math
from collections.abc import Iterator, Mapping, Sequence

from features.definitions.features import AnomalyReason, AnomalyScore, Feature, Rate, taken

__all__ = ["anomaly", "reason_problems", "score_problems"]

_REASONS = 3
_LEAST_PARTS = 2


def anomaly(
    *, of: Sequence[str], name: str = "anomaly", active: str | None = None, least_parts: int | None = None, least_keys: int = 20,
    cap: float = 10.0,
) -> tuple[AnomalyScore | AnomalyReason, ...]:  # fmt: skip
    """How unusual a key is beside all keys at the same cut: `<name>_score`, and `<name>_reason_1` to `_3`, the parts that moved it most.

    Parts that compare today with the key's own past (a ratio, z-score or difference) make it the distance from its own history and its
    peers'. The view needs a schedule with anchor="cut".

    Args:
        of: numeric features above it in the view, two or more.
        name: goes before the names of the four features.
        active: a numeric feature above it; keys where it is not above 0 are neither fitted nor scored.
        least_parts: with fewer parts that have a value the score is null; None: half of them, rounded up, and at least two.
        least_keys: a part that fewer keys have at a cut says nothing there.
        cap: the most that one part adds, in robust standard deviations.
    """
    least = max((len(of) + 1) // 2, _LEAST_PARTS) if least_parts is None else least_parts
    score = AnomalyScore(
        name=f"{name}_score", parts=tuple(of), active=active, least_parts=least, least_keys=least_keys, cap=cap
    )
    return (
        score,
        *(AnomalyReason(name=f"{name}_reason_{n}", score=score.name, rank=n) for n in range(1, _REASONS + 1)),
    )


def score_problems(score: AnomalyScore, above: Mapping[str, Feature], *, at_cuts: bool) -> Iterator[tuple[str, str]]:
    """Problems of a score, each with its remedy.

    Args:
        score: whose parts are numeric features above it.
        above: the features above it, by name.
        at_cuts: whether the view is of events, with a schedule anchored at its cuts.
    """
    if not at_cuts:
        yield (
            "it is not of events with windows that end at cuts, but centres and scales are fitted at cuts alone.",
            "Give the view a Schedule with anchor='cut', as DAILY.",
        )
    if len(score.parts) < _LEAST_PARTS:
        yield f"it has {len(score.parts)} part(s).", "Name at least two features above it; one alone is its own score."
    for part in sorted({part for part in score.parts if score.parts.count(part) > 1}):
        yield f"its part {part!r} is named twice.", "Name it once."
    for part in taken(score):
        if (cause := _fitted(part, above)) is not None:
            problem = f"it is derived from {part!r}, for which {cause!r} is itself fitted at cuts from all keys."
            yield problem, "Leave it out: one fit cannot wait for another of the same cut."
    yield from _number_problems(score)


def _number_problems(score: AnomalyScore) -> Iterator[tuple[str, str]]:
    if len(score.parts) >= _LEAST_PARTS and not 1 <= score.least_parts <= len(score.parts):
        yield (
            f"its least_parts is {score.least_parts!r}.",
            f"Give a whole number from 1 to its {len(score.parts)} parts.",
        )
    if score.least_keys < 1:
        yield f"its least_keys is {score.least_keys!r}.", "Give a whole number of keys, at least 1."
    if not 0 < score.cap < math.inf:
        yield f"its cap is {score.cap!r}.", "Give the most that one part adds, above 0."


def _fitted(name: str, above: Mapping[str, Feature]) -> str | None:
    feature = above.get(name)
    if feature is None:
        return None
    if isinstance(feature, AnomalyScore) or (isinstance(feature, Rate) and feature.fitted):
        return name
    return next((found for part in taken(feature) if (found := _fitted(part, above)) is not None), None)


def reason_problems(reason: AnomalyReason, above: Mapping[str, Feature]) -> Iterator[tuple[str, str]]:
    """Problems of a reason, each with its remedy; `above` as of `score_problems`."""
    if not isinstance(above.get(reason.score), AnomalyScore):
        scores = sorted(name for name, feature in above.items() if isinstance(feature, AnomalyScore))
        yield f"its score is {reason.score!r}, which is no anomaly score above it.", f"Above it are {scores}."
    if reason.rank < 1:
        yield f"its rank is {reason.rank!r}.", "Give 1 for the part that moved the score most, 2 for the next."
