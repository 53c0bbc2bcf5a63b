"""Generations of a view's states: one never changes once it is written; which one is read is a matter of the asked instant (semantics 5)."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from features.definitions.names import cut_text
from features.store.heads import Head, Layout, Loaded

__all__ = ["dropped", "from_text", "next_number", "previous", "serving", "settled_states", "to_text"]


def serving(heads: Sequence[Head], at: int) -> Head | None:
    """The newest generation that is valid at an instant (microseconds UTC); None where none is yet."""
    newest: Head | None = None
    for head in heads:
        if head.valid_from <= at and (newest is None or head.generation > newest.generation):
            newest = head
    return newest


def dropped(heads: Sequence[Head], now: int) -> tuple[Head, ...]:
    """All but the current one, the one before it, and those that wait for their `valid_from`."""
    ordered = sorted(heads, key=lambda head: head.generation, reverse=True)
    valid = [head for head in ordered if head.valid_from <= now]
    return tuple(valid[2:])


def previous(heads: Sequence[Head], now: int) -> tuple[Head, Head] | None:
    """The current generation and the one that a rollback returns to; None where there is none."""
    valid = sorted((head for head in heads if head.valid_from <= now), key=lambda head: head.generation, reverse=True)
    return (valid[0], valid[1]) if len(valid) > 1 else None


def next_number(heads: Sequence[Head], used: int) -> int:
    """Later than all that were ever begun: `used` is the last of those."""
    return max([used, *(head.generation for head in heads)]) + 1


def settled_states(heads: Sequence[Head], layout: Layout) -> Loaded | None:
    """Nothing to do: this cut by this definition is there, or a newer one is. None where a load is due."""
    same = [head for head in heads if head.cut == layout.cut and head.definition == layout.definition]
    newer = [head for head in heads if head.cut > layout.cut and head.definition == layout.definition]
    if same:
        text = f"cut {cut_text(layout.cut)} is already in the online store ({same[0].rows} keys)."
        return Loaded(head=same[0], sentence=f"{layout.view}: {text}")
    if newer:
        text = f"the online store already holds the newer cut {cut_text(newer[0].cut)}; cut {cut_text(layout.cut)} stays out."
        return Loaded(head=newer[0], sentence=f"{layout.view}: {text}")
    return None


def to_text(head: Head) -> str:
    """A record for a store."""
    return json.dumps(asdict(head), separators=(",", ":"))


def from_text(text: str | bytes) -> Head:
    """Back from `to_text`."""
    return Head(**json.loads(text))
