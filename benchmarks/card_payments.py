"""Trains fraud models on public card payments as a model team would, and writes docs/real-payments.md with its plot.

    python -m benchmarks.card_payments ../shared/data/card_payments [--home .asof/card_payments] [--out docs]

The payments are ingested once into the home (by `asof ingest`'s own code); a labelled frame with a split is made of three weeks of July 2018: one to learn
from, one to wait until its frauds are known, one to be tested on. What a payment says of itself (amount, hour, weekday) is in the request; all else
are views of tests/real/card_payments.py. Nothing here is tuned, and each figure has a 95% interval by bootstrap of customers.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from pyspark.sql import SparkSession
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve, roc_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from features.definitions.catalog import load_catalog
from features.settings import Settings, load
from jobs import ledger
from jobs.commands import LabelledFrame
from jobs.ingest import ingest
from jobs.labelled import label_ask, labelled_frame
from jobs.metrics import Measured, auc_roc, average_precision, card_precision, measured, rows_of
from jobs.session import spark as session
from tests.real.card_payments import FRAUD, PAYMENTS, SERVICE

CATALOG = "tests.real.card_payments"
COMMAND = "python -m benchmarks.card_payments ../shared/data/card_payments"
START, TRAIN_END, END = (datetime(2018, 7, day, tzinfo=UTC) for day in (1, 8, 22))
AS_OF = datetime(2018, 7, 31, tzinfo=UTC)
OWN = ("amount", "night", "weekend")
HGB = {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 15, "early_stopping": False, "random_state": 0}
BEST = "boosted trees, with both"
ALL = f"{BEST}, all payments"
COLOURS = {
    "boosted trees, the payment alone": "#999999", "boosted trees, with its customer": "#e6b34d", "boosted trees, with its terminal": "#7f9cb5",
    BEST: "#c0392b",
}  # fmt: skip
SAMPLES = 500
METRICS = {
    "auc_roc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision at 100 a day",
}
HANDBOOK = {
    "logistic regression": (0.871, 0.606, 0.291),
    "decision tree of depth two": (0.763, 0.496, 0.241),
    "decision tree": (0.788, 0.309, 0.243),
    "random forest": (0.867, 0.658, 0.287),
    "XGBoost": (0.862, 0.639, 0.273),
}
"""Chapter 3, Baseline fraud detection system, of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi; Université Libre de Bruxelles)."""

PAGE = """# Real payments

1.17 million card payments that nobody here shaped, through Asof's own ingest and frames, judged as a model team would judge them. This page and its plot are
what the command wrote:

```sh
{command}
```

**Input.** The public simulated payments of the [Fraud Detection Handbook](https://fraud-detection-handbook.github.io/fraud-detection-handbook/) (April to
July 2018; 5,000 customers, 10,000 terminals). A fraud becomes known seven days after its payment.

**Weeks.** Train: 1 to 7 July 2018, {train:,} payments, {train_frauds} frauds. Then a week without, until their frauds are known: the label's horizon, which `--split
train_end=2018-07-08` keeps free. Test: 15 to 21 July, {test:,} payments, {test_frauds} frauds.

**Features.** Of the payment itself, as the request has them: amount, night (before 7 h), weekend. Of the customer, at the payment's instant and without it: count
and mean amount of 1, 7 and 30 days. Of the terminal: count and share of frauds (`cohort_rate`) of 1, 7 and 30 days that ended seven days ago, so that every fraud in
them is known (tests/real/card_payments.py; each value is compared with pandas by tests/real/test_card_payments.py).

**Judged** as the handbook judges: payments of customers of whom a fraud is known already, since the training week, are set aside, as their cards would be
blocked; {fresh:,} payments with {fresh_frauds} frauds are left. Card precision: of the 100 customers with the highest score of each day, the share that had a fraud that day; who was
found leaves the days after. If every compromised card were found on its first day it would be {most}. In brackets the 95% interval of {samples} bootstrap samples of customers
(`jobs.metrics`). The parameters of the models were set beforehand and are not tuned.

{table}

![Precision by recall and ROC of the boosted trees](real-payments.svg)

The last line counts all payments of the test, also those of customers whose fraud is known.

## Beside the handbook
What the handbook publishes for its models, untuned too, learned from 25 to 31 July and tested on 8 to 14 August 2018 of the same data. August is not among our data, its
customers' windows count the payment itself, and its intervals are not given: the figures stand beside ours, and rank nothing.

{handbook}
"""


def framed(spark: SparkSession, settings: Settings, data: Path, out: Path) -> pd.DataFrame:
    """The frame's rows, with what each payment says of itself."""
    if not ledger.partitions(settings, PAYMENTS.name):
        ingest(spark, settings, PAYMENTS, str(data))
    asked = LabelledFrame(
        label=FRAUD.name, start=START, end=END, as_of=AS_OF, service=SERVICE.name, out=str(out), split=(f"train_end={TRAIN_END.isoformat()}",)
    )  # fmt: skip
    ask = label_ask(asked, FRAUD)
    labelled_frame(spark, settings, load_catalog(CATALOG), ask, service=SERVICE.name, out=str(out))
    rows = pq.read_table(out).to_pandas()
    own = pd.read_parquet(data, columns=["payment_id", "amount"])
    rows = rows.merge(own, on="payment_id", validate="one_to_one")
    return rows.assign(night=rows["event_timestamp"].dt.hour <= 6, weekend=rows["event_timestamp"].dt.dayofweek >= 5)


def columns_of(rows: pd.DataFrame, *views: str) -> list[str]:
    """What a payment says of itself, and the features of some views."""
    return [
        *OWN,
        *(name for name in rows.columns if name.split("__")[0] in views and not name.endswith("__asof_status")),
    ]


def models() -> dict[str, tuple[BaseEstimator, tuple[str, ...]]]:
    """Each with the views it reads. Of missing values (a mean or a rate without payments) the trees know; the others take 0."""
    whole = ("customer", "terminal")
    return {
        "boosted trees, the payment alone": (HistGradientBoostingClassifier(**HGB), ()),
        "boosted trees, with its customer": (HistGradientBoostingClassifier(**HGB), whole[:1]),
        "boosted trees, with its terminal": (HistGradientBoostingClassifier(**HGB), whole[1:]),
        BEST: (HistGradientBoostingClassifier(**HGB), whole),
        "random forest, with both": (make_pipeline(_filled(), RandomForestClassifier(random_state=0)), whole),
        "logistic regression, with both": (make_pipeline(_filled(), StandardScaler(), LogisticRegression(max_iter=1_000)), whole),
    }  # fmt: skip


def _filled() -> SimpleImputer:
    return SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)


def scored(rows: pd.DataFrame, only: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The test's scores by each model, or by some of them."""
    train, test = (rows[rows["asof_split"] == part] for part in ("train", "test"))
    found = {}
    for name, (model, views) in models().items():
        if only and name not in only:
            continue
        columns = columns_of(rows, *views)
        with threadpool_limits(1):  # sums in one order: the same rows make the same models
            model.fit(train[columns].astype("float64"), train["label"])
            found[name] = model.predict_proba(test[columns].astype("float64"))[:, 1]
    return found


def fresh(rows: pd.DataFrame) -> np.ndarray:
    """Bool a test row: no fraud of its customer, of the training week or later, was known when its day began. The handbook judges these alone."""
    test = rows[rows["asof_split"] == "test"]
    since = rows[rows["label"] == 1].groupby("customer_id")["event_timestamp"].min() + pd.Timedelta("7d")
    return ~(test["customer_id"].map(since) <= test["event_timestamp"].dt.floor("D")).to_numpy()


def judged(rows: pd.DataFrame, scores: Mapping[str, np.ndarray], samples: int) -> dict[str, dict[str, Measured]]:
    """Each model's metrics, by their names; of the boosted trees with both also over all payments."""
    test, chosen = rows[rows["asof_split"] == "test"], fresh(rows)
    found = {name: _measured(test[chosen], score[chosen], samples) for name, score in scores.items()}
    return found | {ALL: _measured(test, scores[BEST], samples)}


def _measured(test: pd.DataFrame, score: np.ndarray, samples: int) -> dict[str, Measured]:
    table = pa.Table.from_pandas(
        test[["customer_id", "event_timestamp", "label", "label_mature"]].assign(score=score), preserve_index=False
    )
    made = rows_of(table, entity="customer_id", score="score")
    return {
        item.metric: item
        for item in measured(made, [auc_roc(), average_precision(), card_precision(100)], samples=samples)
    }


def page(rows: pd.DataFrame, found: Mapping[str, Mapping[str, Measured]]) -> str:
    """docs/real-payments.md."""
    train, test = (rows[rows["asof_split"] == part] for part in ("train", "test"))
    chosen = fresh(rows)
    lines = ["| model | " + " | ".join(METRICS.values()) + " |", "|---|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(_cell(one[metric]) for metric in METRICS) + " |" for name, one in found.items()
    ]
    theirs = ["| the handbook's | AUC ROC | average precision | card precision at 100 |", "|---|---|---|---|"]
    theirs += [
        f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for name, values in HANDBOOK.items()
    ]
    return PAGE.format(
        command=COMMAND, samples=SAMPLES, train=len(train), train_frauds=int(train["label"].sum()), test=len(test), test_frauds=int(test["label"].sum()),
        fresh=int(chosen.sum()), fresh_frauds=int(test["label"][chosen].sum()), table="\n".join(lines), handbook="\n".join(theirs),
        most=_most(test[chosen]),
    )  # fmt: skip


def _cell(item: Measured) -> str:
    return f"{item.value:.3f} ({item.low:.3f} to {item.high:.3f})"


def _most(test: pd.DataFrame) -> str:
    """What card precision at 100 would be if each day's highest were its compromised cards, each of which counts once."""
    first = test[test["label"] == 1].groupby("customer_id")["event_timestamp"].min().dt.floor("D")
    return f"{first.value_counts().clip(upper=100).sum() / 100 / test['event_timestamp'].dt.floor('D').nunique():.3f}"


def plot(rows: pd.DataFrame, scores: Mapping[str, np.ndarray], out: Path) -> None:
    """Precision by recall and ROC of the boosted trees. Equal data gives an equal file."""
    test, chosen = rows[rows["asof_split"] == "test"], fresh(rows)
    with mpl.rc_context({"svg.hashsalt": "asof", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        curves, roc = figure.subplots(1, 2)
        label, at = test["label"][chosen], np.linspace(1, 0, 201)
        for name, colour in COLOURS.items():
            if name in scores:
                said = {"color": colour, "label": name.split(", ")[1]}
                precision, recall, _ = precision_recall_curve(label, scores[name][chosen])
                curves.plot(at, precision[np.searchsorted(-recall, -at, "right") - 1], **said)
                wrong, right, _ = roc_curve(label, scores[name][chosen])
                roc.plot(at, np.interp(at, wrong, right), **said)
        curves.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision by recall")
        roc.set(xlabel="share of good payments", ylabel="share of frauds", xlim=(0, 1), ylim=(0, 1.02), title="ROC")
        roc.legend(frameon=False, loc="lower right")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


def main() -> int:
    """Makes the page and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".asof/card_payments"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"{args.data} is not there. Give the folder of the card payments' Parquet files.", file=sys.stderr)
        return 1
    os.environ["ASOF_CONFIG"] = os.devnull
    args.out.mkdir(parents=True, exist_ok=True)
    settings = load(home=args.home, catalog=CATALOG, metastore={"kind": "embedded"}, spark={"master": "local[2]"})
    rows = framed(session(settings, "card payments"), settings, args.data, settings.home / "frame.parquet")
    scores = scored(rows)
    (args.out / "real-payments.md").write_text(page(rows, judged(rows, scores, SAMPLES)), encoding="utf-8")
    plot(rows, scores, args.out / "real-payments.svg")
    print(f"Wrote {args.out / 'real-payments.md'} and {args.out / 'real-payments.svg'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
