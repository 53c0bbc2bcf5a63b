"""One ask after another, each of one key, of the same features at the same cuts, as nearly every lookup is: only states and instants differ."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from features.definitions.expressions import Scalar
from features.definitions.views import FeatureView
from features.values.state import kernels
from features.values.state.beside import aside
from features.values.state.blocks import Block
from features.values.state.counting import count, read, results
from features.values.state.program import Program, program_of

__all__ = ["OneAsk"]

_FIRST = np.zeros((1, 1), np.int64)


class OneAsk:
    """What is the same for all of them; see `OneAsk.of`."""

    def __init__(self, program: Program, names: Sequence[tuple[str, ...]], cuts: Sequence[int]) -> None:
        self._program, self._cuts = program, np.array(cuts, np.int64)
        self._first = np.arange(len(cuts) + 1)
        ends = np.cumsum([0, *(len(group.features) for group in program.groups)]).tolist()
        places = [[(ends[group] + place) for group, place in map(found.__getitem__, some)] for found, some in zip(program.found, names, strict=True)]  # fmt: skip
        self._taking = [_taking(some) for some in places]

    @classmethod
    def of(
        cls, views: tuple[FeatureView, ...], names: Sequence[tuple[str, ...]], cuts: Sequence[int]
    ) -> "OneAsk | None":
        """Of features of stateful views, each state of a cut (microseconds UTC); None where a view has features that take more than counting."""
        program = program_of(views)
        if any(view.include_self for view in views) or any(program.more):
            return None
        return cls(program, names, cuts)

    def cells(
        self, states: Sequence[bytes | None], tails: Sequence[Block | None], at: int
    ) -> tuple[list[tuple[Scalar, ...]], list[int]] | None:
        """Of each view its features, timestamps in microseconds UTC, and the index of its status in STATUSES; None where a state is damaged, or holds rows.

        Args:
            states: one a view; None: the key has none.
            tails: of each its `Stated.tail`.
            at: the instant, in microseconds UTC; past a view's horizon it is taken as the horizon.
        """
        program, cuts = self._program, self._cuts
        held = [state or b"" for state in states]
        sections = read(program, b"".join(held), list(map(len, held)), self._first, cuts)
        if sections.unread or sections.broken:
            return None
        instants, settled = kernels.instants(np.array(((at,),), np.int64), cuts, program.lags, program.horizons)
        rows = [none if tail is None else tail for tail, none in zip(tails, program.no_rows[1], strict=True)]
        beside = aside(program, rows, sections.slot, self._first, len(sections.at))
        counted = count(program, sections, beside, _FIRST, self._first, instants, settled)
        row: list[Scalar] = []
        for values, null in results(program, counted):
            cells = values.reshape(-1).tolist()
            if null is not None:
                for place in np.flatnonzero(null).tolist():
                    cells[place] = None
            row += cells
        whole = tuple(row)
        return [take(whole) for take in self._taking], counted.status.reshape(-1).tolist()


def _taking(places: list[int]) -> "itemgetter[Any]":
    """Takes cells out of a row; most views' are next to each other.

    >>> _taking([1])("abc"), _taking([0, 1])("abc"), _taking([2, 0])("abc"), _taking([])("abc")
    ('b', 'ab', ('c', 'a'), '')
    """
    first = places[0] if places else 0
    if places == list(range(first, first + len(places))):
        return itemgetter(slice(first, first + len(places)))
    return itemgetter(*places)
