"""What a program asks of states, in two passes over all of them: they are read, and what its windows hold is counted."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.values import exact
from features.values.state import kernels
from features.values.state.layout import Sections, read_states
from features.values.state.pack import value_of
from features.values.state.program import Group, Program

__all__ = ["count", "read", "results"]

Array = np.ndarray
_SUMS, _SQUARES = np.arange(1, 3)[:, None], np.arange(3, 9)[:, None]
"""Where the limbs of a sum and the pieces of a sum of squares stand behind the rows."""


def read(program: Program, data: bytes, sizes: Sequence[int], first: Array, cuts: Array) -> Sections:
    """The sections of the states of all views, one after the other; `sizes`, `first` and `cuts` as `read_states` has them."""
    return read_states(
        data, sizes, first, cuts, program.first_section, program.widths, program.limbs, program.seldom
    )  # fmt: skip


def count(
    program: Program, sections: Sections, aside: kernels.Aside, keys: Array, first: Array, instants: Array, settled: Array
) -> kernels.Counted:  # fmt: skip
    """What the windows of all features hold, and what is finished from it in whole numbers; `keys` to `settled` as `kernels.answer` has them."""
    whole = program.groups[0]
    return kernels.Counted(*kernels.answer(
        sections.data, sections.later, sections.words, sections.at, sections.size, sections.slot, *aside, keys, first,
        instants, settled, program.after, program.first_section, program.kind, program.pieces, program.once, program.first_window,
        program.edge, program.spans, program.first_span, program.rows, program.count, program.seen, whole.ways, whole.rows, whole.views, whole.beside,
    ))  # fmt: skip


def results(program: Program, counted: kernels.Counted) -> list[tuple[Array, Array | None]]:
    """Of each group of features [features, asks]: the values, and where there is none."""
    whole = counted.values, counted.null if counted.some else None
    return [whole, *(_finished(group, counted.made) for group in program.groups[1:])]


def _finished(group: Group, made: Array) -> tuple[Array, Array | None]:
    rows = group.rows
    match group.how:
        case "float":
            return value_of(made[rows], pa.float64()), made[rows + 1] == 0
        case "rate":
            total = made[rows]
            return made[group.beside].astype(np.float64) / np.maximum(total, 1).astype(np.float64), total == 0
        case _:
            shape = (len(rows), made.shape[1])
            sums = made[rows + _SUMS].reshape(2, -1)
            squares = made[rows + _SQUARES].reshape(6, -1) if group.how == "std" else sums
            value, null, _ = exact.finished(group.how, made[rows].reshape(-1), sums, squares)
            return value.reshape(shape), null.reshape(shape) if null.any() else None
