"""What some views say of one key, as nearly every lookup asks: all rows at once, and what is the same for all keys made once."""

from collections.abc import Sequence
from typing import NamedTuple

from features.serving.served import Served, Status, ViewColumns
from features.store.heads import Head
from features.store.together import RowsTogether, StringLayout, Together, fits

__all__ = ["OneKey"]

_OK: tuple[Status] = ("ok",)


class _Ready(NamedTuple):
    """For views whose head records say this, and whose rows lie there."""

    heads: Sequence[Head | None]
    layouts: Sequence[StringLayout]
    rows: RowsTogether | None
    """None where they cannot be read so, or must not be served."""
    cuts: Sequence[tuple[str, int]]
    """Of each view its name and cut."""
    first: int
    end: int
    """Instants, in microseconds UTC, from the first of which to before the other all values are served and none is stale."""


class OneKey:
    """Lookups of the same features again and again; errors and rare cases are left to `Served.plain`."""

    def __init__(self, views: Sequence[tuple[Served, tuple[str, ...]]]) -> None:
        self._views = views
        self._ready: _Ready | None = None

    def columns(self, answers: Together, at: int) -> tuple[ViewColumns, ...] | None:
        """Of one row, asked at an instant (microseconds UTC); None where a view's row is missing, damaged, older or stale, holds nulls, or may not be served."""
        ready = self._ready
        if ready is None or ready.heads != answers.heads or ready.layouts != answers.layouts:
            # Replaced as a whole: threads may share it.
            ready = self._ready = self._made(answers)
        if ready.rows is None or not ready.first <= at < ready.end:
            return None
        found = ready.rows.read(answers.strings)
        if found is None:
            return None
        return tuple(
            [
                ViewColumns(view, row, _OK, (cut,), (at - cut,))
                for (view, cut), row in zip(ready.cuts, found, strict=True)
            ]
        )

    def _made(self, answers: Together) -> _Ready:
        heads, layouts = answers.heads, answers.layouts
        packings = [served.packing for served, _ in self._views]
        there = [head for head in heads if head is not None]
        are_ours = len(there) == len(self._views) and all(
            head.definition == served.definition for head, (served, _) in zip(there, self._views, strict=True)
        )
        if not are_ours or not fits(packings, layouts):
            return _Ready(heads, layouts, None, (), 0, 0)
        begins = [packing.begin(head.valid_from) for packing, head in zip(packings, there, strict=True)]
        return _Ready(
            heads,
            layouts,
            RowsTogether(packings, [names for _, names in self._views], begins, layouts),
            [(head.view, head.cut) for head in there],
            max(head.valid_from for head in there),
            min(head.cut + head.horizon for head in there),
        )
