"""The page of docs/model_path.py: how good a model is, and why it says what it says. One HTML file with its pictures inside."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import precision_recall_curve

from jobs.metrics import (
    Measured,
    auc_roc,
    average_precision,
    card_precision,
    measured,
    precision_at,
    recall_at,
    rows_of,
)

A_DAY = 20
"""So many payments, or cards, of a day are looked at."""
ROWS, REPEATS, BACKGROUND = 2_000, 3, 100
"""At most so many rows for importances, how often each column is shuffled, and how many rows stand for the ordinary ones."""
_BLUE, _RED, _GREY = "#33658a", "#c0392b", "#999999"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A fraud model on radar_v1</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }}
table {{ border-collapse: collapse }} td, th {{ text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }} svg {{ width: 100%; height: auto }}
</style></head><body><h1>A fraud model on radar_v1</h1>
<p>{words}</p>
<h2>How good it is</h2>
<p>In brackets between what 95% of bootstrap samples of cards lie.</p>
{metrics}
{quality}
<h2>What it rests on</h2>
<p>How much average precision on the test falls when a feature is shuffled among its rows, the mean of {repeats} times with its spread.</p>
{importance}
<p>The mean log odds, before calibration, if every row had this value, all else as it is.</p>
{dependence}
<h2>Why the highest score is high</h2>
<p>By how much the log odds fall, on average, if one feature is replaced by what {background} rows of the test have. Of features that go together
neither falls much when only one is replaced.</p>
{reasons}
</body></html>
"""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A model, and the test rows that it has scored; they are in order of time."""

    rows: pa.Table
    scores: np.ndarray
    inputs: pd.DataFrame
    trees: HistGradientBoostingClassifier

    @property
    def labels(self) -> np.ndarray:
        """1 fraud, 0 none."""
        return self.rows["label"].to_numpy()


def report(judged: Judged, learned: int, frauds: int) -> str:
    """The page. The same rows and the same model give the same text."""
    important = importances(judged)
    first, last = (value.as_py() for value in (judged.rows["event_timestamp"][0], judged.rows["event_timestamp"][-1]))
    words = (
        f"Learned from {learned} payments ({frauds} frauds); judged on {len(judged.rows)} of {first:%Y-%m-%d} to {last:%Y-%m-%d}, {judged.labels.sum()} of "
        f"them frauds. All labels are mature; what was blocked and not explored is in neither, and what was explored stands for it by its weight."
    )
    return _PAGE.format(
        words=escape(words), repeats=REPEATS, background=BACKGROUND, metrics=table(metrics(judged)),
        quality=picture(lambda axes: _quality(axes, judged), 2),
        importance=picture(lambda axes: _bars(axes[0], important[:15], "loss of average precision"), 1, 4.2),
        dependence=picture(lambda axes: _dependence(axes, judged, [name for name, _, _ in important]), 3),
        reasons=picture(lambda axes: _bars(axes[0], reasons(judged)[:12], "change of log odds"), 1, 3.6),
    )  # fmt: skip


def metrics(judged: Judged) -> tuple[Measured, ...]:
    """Of the test, with intervals by bootstrap of cards."""
    rows = rows_of(judged.rows.append_column("score", pa.array(judged.scores)), entity="card_id", score="score")
    asked = [auc_roc(), average_precision(), precision_at(A_DAY), recall_at(A_DAY, by="count"), card_precision(A_DAY)]
    return measured(rows, asked)


def table(found: Sequence[Measured]) -> str:
    """A line a metric; what is not defined has no number."""
    lines = [
        f"<tr><td>{escape(item.metric)}</td><td>{_number(item.value)}</td><td>({_number(item.low)} to {_number(item.high)})</td>"
        f"<td>{item.rows}</td><td>{item.entities}</td></tr>"
        for item in found
    ]
    return f"<table><tr><th>metric</th><th></th><th></th><th>payments</th><th>cards</th></tr>{''.join(lines)}</table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001 - a dash


def importances(judged: Judged) -> list[tuple[str, float, float]]:
    """Name, mean and deviation of each column's importance, the most important first."""
    step = max(1, len(judged.labels) // ROWS)
    weights = judged.rows["asof_weight"].to_numpy()[::step]
    found = permutation_importance(
        judged.trees, judged.inputs.iloc[::step], judged.labels[::step], scoring="average_precision", n_repeats=REPEATS, random_state=0,
        sample_weight=weights,
    )  # fmt: skip
    order = np.argsort(-found.importances_mean, kind="stable")
    return [
        (str(judged.inputs.columns[n]), float(found.importances_mean[n]), float(found.importances_std[n]))
        for n in order
    ]


def reasons(judged: Judged) -> list[tuple[str, float, float]]:
    """What each column adds to the highest score, against ordinary rows, the most first; its spread among them too."""
    top = judged.inputs.iloc[[int(judged.scores.argmax())]]
    ordinary = judged.inputs.iloc[:: max(1, len(judged.inputs) // BACKGROUND)].head(BACKGROUND)
    repeated = pd.concat([top] * len(ordinary), ignore_index=True)
    whole = judged.trees.decision_function(top)[0]
    found = []
    for name in judged.inputs.columns:
        falls = whole - judged.trees.decision_function(repeated.assign(**{name: ordinary[name].reset_index(drop=True)}))
        found.append((str(name), float(falls.mean()), float(falls.std())))
    return sorted(found, key=lambda item: -abs(item[1]))


def picture(draw: Callable[[Sequence[Axes]], None], across: int, height: float = 3.2) -> str:
    """An SVG element of some plots side by side."""
    with mpl.rc_context({"svg.hashsalt": "asof", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, height), layout="constrained")
        draw(np.atleast_1d(figure.subplots(1, across)))
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _quality(axes: Sequence[Axes], judged: Judged) -> None:
    precision, recall, _ = precision_recall_curve(judged.labels, judged.scores)
    axes[0].step(recall, precision, where="post", color=_BLUE)
    axes[0].set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision by recall")
    share, said = calibration_curve(judged.labels, judged.scores, n_bins=8, strategy="quantile")
    axes[1].plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    axes[1].plot(said, share, "o-", color=_RED)
    axes[1].set(
        xlabel="mean score",
        ylabel="share of frauds",
        title="What a score of the model means",
        xscale="symlog",
        yscale="symlog",
    )
    axes[1].set_xscale("symlog", linthresh=0.01)
    axes[1].set_yscale("symlog", linthresh=0.01)


def _bars(axes: Axes, items: Sequence[tuple[str, float, float]], label: str) -> None:
    names, means, spread = zip(*reversed(items), strict=True)
    axes.barh(names, means, xerr=spread, color=_BLUE, ecolor=_GREY)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", labelsize=8)


def _dependence(axes: Sequence[Axes], judged: Judged, names: Sequence[str]) -> None:
    numeric = [
        name
        for name in names
        if judged.inputs[name].dtype.kind == "f" and judged.inputs[name].min() < judged.inputs[name].max()
    ]
    known: Any = judged.inputs.iloc[:: max(1, len(judged.inputs) // ROWS)]
    for place, name in zip(axes, numeric, strict=False):
        found = partial_dependence(
            judged.trees, known, [name], response_method="decision_function", grid_resolution=20, method="brute"
        )
        place.plot(found["grid_values"][0], found["average"][0], color=_BLUE)
        place.set_xlabel(name, fontsize=8)
        place.set_ylabel("mean log odds")
