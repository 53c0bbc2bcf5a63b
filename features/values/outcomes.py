"""Which events have a known outcome, from when on, and when it arrived: the numerators of rates (semantics 4)."""

import numpy as np
import pyarrow as pa

from features.definitions.sources import Source
from features.values.timeline import Timeline

__all__ = ["with_outcomes"]

Array = np.ndarray


def with_outcomes(events: Timeline, source: Source, outcomes: Timeline, of: str) -> Timeline:
    """The events that have an outcome within their key, each with the disjoint spans in which both are visible; `known` says when it arrived.

    An outcome arrived when the first version of the first one became known that told of its event, whatever replaced it since.
    """
    event_id, outcome_id = _codes(events.columns[source.event_id or ""], outcomes.columns[of])
    spans = _spans(outcomes, outcome_id)
    arrivals = _arrivals(outcomes, outcome_id)
    chosen: list[tuple[int, int, int, int]] = []
    wanted = np.isin(event_id, outcome_id)
    for at in np.flatnonzero(wanted):
        told = int(events.key[at]), int(event_id[at])
        for since, until in spans.get(told, ()):
            both = max(since, int(events.since[at])), min(until, int(events.until[at]))
            if both[0] < both[1]:
                chosen.append((int(at), *both, arrivals[told]))
    at_, since_, until_, known = (np.array([row[n] for row in chosen], dtype=np.int64) for n in range(4))
    return Timeline(
        key=events.key[at_], time=events.time[at_], since=since_, until=until_, columns={},
        known=known,
    )  # fmt: skip


def _arrivals(outcomes: Timeline, ids: Array) -> dict[tuple[int, int], int]:
    """(key, id) to when the first version of the first outcome became known."""
    instants = outcomes.since if outcomes.known is None else outcomes.known
    order = np.argsort(-instants, kind="stable")
    return {
        (key, event): known
        for key, event, known in zip(*(part[order].tolist() for part in (outcomes.key, ids, instants)), strict=True)
    }


def _codes(left: pa.Array, right: pa.Array) -> tuple[Array, Array]:
    both = pa.chunked_array([left, right.cast(left.type)]).combine_chunks().dictionary_encode()
    codes = np.asarray(both.indices.fill_null(-1))
    return codes[: len(left)].astype(np.int64), codes[len(left) :].astype(np.int64)


def _spans(outcomes: Timeline, ids: Array) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(key, id) to the merged, disjoint spans in which at least one outcome is visible."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for at in np.lexsort((outcomes.since,)):
        since, until = int(outcomes.since[at]), int(outcomes.until[at])
        if ids[at] < 0 or since >= until:
            continue
        spans = found.setdefault((int(outcomes.key[at]), int(ids[at])), [])
        if spans and since <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], until))
        else:
            spans.append((since, until))
    return found
