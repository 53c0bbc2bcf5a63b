"""How a long tail is folded: entries go into blocks, small blocks into larger ones. Plain steps, which a store takes one by one (decision 28).

After each step, and at each instant before it, readers find the same rows: a step takes out an entry only if it is still what was read, and an entry
beside a block outdoes the block's row of its event.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
import pyarrow.compute as pc

from features.definitions.sources import Source
from features.store.tail_rows import block_of, event_ids, fits, is_block, is_gone, joined, rows_in, rows_of
from features.values.state.blocks import Block

__all__ = ["Step", "steps"]

_NAME = b"\xff\xff"
"""What fields of blocks begin with; a text id is UTF-8, which 0xFF never begins, and a number has eight bytes."""
_LOOSE_AT_ONCE = 2000
_ROWS_AT_MOST = 1 << 17
"""Of a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What changes together, or not at all."""

    taken: Sequence[tuple[bytes, bytes]]
    """Event ids, and what was read there. One that is something else by now stays; where none is as it was, nothing changes."""

    puts: Mapping[bytes, bytes] = field(default_factory=dict)
    """Fields and their new blocks."""

    dropped: Sequence[bytes] = ()
    """Blocks whose rows are in the new ones."""


def steps(source: Source, tail: Mapping[bytes, bytes]) -> Iterator[Step]:
    """What folds all of one entity's tail, as it was read: fields to entries and blocks. Those of other columns than the source has now stay as they are."""
    loose = [
        (name, entry) for name, entry in tail.items() if not is_block(entry) and (is_gone(entry) or fits(source, entry))
    ]
    blocks = {name: entry for name, entry in tail.items() if is_block(entry) and fits(source, entry)}
    held = {name: rows_of(source, [(0, entry)]) for name, entry in blocks.items()}
    # One that cannot be read is left for people to look at.
    held = {name: rows for name, rows in held.items() if len(rows) == rows_in(blocks[name])}
    for start in range(0, len(loose), _LOOSE_AT_ONCE):
        # Never a name that was used: a trim may be about to drop the block that had it.
        yield _step(source, loose[start : start + _LOOSE_AT_ONCE], held, _NAME + uuid4().bytes)


def _step(source: Source, taken: Sequence[tuple[bytes, bytes]], held: dict[bytes, Block], name: bytes) -> Step:
    """Changes `held` as it will be afterwards."""
    changed, before = _without(source, taken, held), set(held)
    held.update(changed)
    parts = [rows_of(source, [(0, entry) for _, entry in taken if not is_gone(entry)])]
    size = len(parts[0])
    for other in sorted(held, key=lambda each: len(held[each])):
        # Each row is written again once for each time that its block doubles.
        if size and len(held[other]) <= size and size + len(held[other]) <= _ROWS_AT_MOST:
            parts.append(held.pop(other))
            size += len(parts[-1])
    if size:
        held[name] = joined(parts)
        changed[name] = held[name]
    for empty in [each for each, rows in held.items() if not len(rows)]:
        del held[empty]
    puts = {each: block_of(source, held[each]) for each in changed if each in held}
    return Step(taken=taken, puts=puts, dropped=sorted(before - set(held)))


def _without(source: Source, taken: Sequence[tuple[bytes, bytes]], held: Mapping[bytes, Block]) -> dict[bytes, Block]:
    """Blocks that have rows of these events, without them."""
    ids, made = event_ids(source, [name for name, _ in taken]), dict[bytes, Block]()
    for name, rows in held.items():
        column = rows.columns[source.event_id or ""]
        inside = np.asarray(pc.is_in(column, value_set=ids.cast(column.type)).to_numpy(zero_copy_only=False))
        if inside.any():
            made[name] = rows.only(~inside)
    return made
