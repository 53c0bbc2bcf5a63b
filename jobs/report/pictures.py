"""The report's pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_rates", "draw_recall"]

Triple = Sequence[float | None]
_COLOURS = ("#999999", "#33658a", "#4a8f5c", "#e6a13c", "#c0392b")


def draw_recall(axes: "Axes", given: tuple[Sequence[str], Sequence[tuple[str, float, Sequence[Triple]]]]) -> None:
    """A row an attack, a point and its interval for each set of columns, and a line at the most that can be found."""
    sets, rows = given
    step = 0.7 / len(sets)
    for n, (_, most, recalls) in enumerate(rows):
        axes.plot([most, most], [n - 0.4, n + 0.4], color="#bbbbbb", linewidth=2)
        for place, (value, low, high) in enumerate(recalls):
            at, colour = n + (place - (len(sets) - 1) / 2) * step, _COLOURS[place % len(_COLOURS)]
            if low is not None and high is not None:
                axes.plot([low, high], [at, at], color=colour, linewidth=2.5, alpha=0.55)
            if value is not None:
                axes.plot(value, at, "o", color=colour, markersize=4.5, label=sets[place] if n == 0 else None)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("recall at the budget")
    axes.grid(axis="x", alpha=0.3)
    axes.figure.legend(loc="outside upper center", ncols=len(sets), frameon=False)


def draw_rates(axes: "Axes", rows: Sequence[tuple[str, Triple]]) -> None:
    """A point and its interval each."""
    for n, (_, (value, low, high)) in enumerate(rows):
        if low is not None and high is not None:
            axes.plot([low, high], [n, n], color="#33658a", linewidth=2.5, alpha=0.55)
        if value is not None:
            axes.plot(value, n, "o", color="#33658a")
    axes.axvline(0.5, color="#bbbbbb", linewidth=1)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("area under the ROC curve on the same held-back payments")
    axes.grid(axis="x", alpha=0.3)
