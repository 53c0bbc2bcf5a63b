"""The model team's path: a labelled frame, a calibrated model, a page that judges and explains it, and the same scores from online lookups.

    python docs/model_path.py --out model [--as-of 2026-02-19] [--test-days 7] [--warm-up-days 7] [--at-most 500]

Runs on a home whose views are loaded (`asof demo`, or the steps of README.md) and writes to the folder: frame.parquet with its manifest, sequences.npz,
report.html. Ends with 1 if a single score that is computed from lookups differs from that of the frame by a single bit. See docs/model-path.md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from model_report import Judged, report
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from features import Catalog, FeatureService, FeatureView, Label, flat, last_k, load_catalog
from features.definitions.names import micros, utc
from features.entities import CARD
from features.errors import AsofError, InputError
from features.services import FRAUD
from features.serving.reader import Reader
from features.settings import Settings, load
from features.sources import PAYMENTS
from features.values.sequences import sequences
from jobs import ledger
from jobs.commands import LabelledFrame
from jobs.frame import frame, views_for
from jobs.labelled import label_ask, labelled_frame
from jobs.session import spark as session

# What the model team adds to the catalogue. Chargebacks take weeks, fraud reports days: a short horizon lets a model learn from last week's attacks.
EARLY: Label = replace(
    FRAUD, name="fraud_4d", horizon="4d", description="Reported or charged back as fraud within four days."
)
CARD_SEQUENCE = FeatureView(
    name="card_sequence",
    entity=CARD,
    source=PAYMENTS,
    owner="fraud-models",
    description="The last payments of a card, for models that read sequences.",
    features=flat((last_k("amount_minor", "30d", k=8), last_k("merchant_id", "30d", k=8))),
)
SERVICE, TRAINING = "radar_v1", "radar_training_v1"
"""What lookups are asked for, and that with the sequence, for training."""
CALIBRATION = 0.25
"""The last part of the training rows: the model does not learn from it, its probabilities are set by it."""
CATEGORIES = 200
"""So many different texts of a column are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Train from `start` on before `train_end`; test from `test` on before `end`; between them lies the label's horizon."""

    start: datetime
    train_end: datetime
    test: datetime
    end: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Scores rows of a frame, and of lookups alike."""

    columns: tuple[str, ...]
    categories: Mapping[str, Sequence[str]]
    """Of text columns, as seen in training; what is new later counts as missing."""

    trees: HistGradientBoostingClassifier
    sigmoid: LogisticRegression
    """From the trees' log odds to a probability."""

    def inputs(self, rows: pa.Table) -> pd.DataFrame:
        """Numbers, and ages in microseconds in place of instants."""
        return inputs(rows, self.columns, self.categories)

    def scores(self, rows: pa.Table) -> np.ndarray:
        """The calibrated probability of fraud, a row each."""
        return self.sigmoid.predict_proba(self.trees.decision_function(self.inputs(rows))[:, None])[:, 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where a score differs or something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, help="a day: what is known from its start on, UTC, is not")
    parser.add_argument("--test-days", type=int, default=7)
    parser.add_argument("--warm-up-days", type=int, default=7, help="so many first days only fill windows")
    parser.add_argument("--at-most", type=int, default=500, help="so many rows are scored through lookups")
    given = parser.parse_args(arguments)
    try:
        settings = load()
        days = days_of(settings, given.as_of, given.test_days, given.warm_up_days)
        return walk(session(settings, "model"), settings, given.out, days, given.at_most)
    except AsofError as error:
        print(error, file=sys.stderr)
        return 1


def walk(spark: SparkSession, settings: Settings, out: Path, days: Days, at_most: int) -> int:
    """All steps, each a line or two."""
    out.mkdir(parents=True, exist_ok=True)
    catalog = with_ours(load_catalog(settings.catalog))
    rows = labelled(spark, settings, catalog, days, out / "frame.parquet")
    saved(rows, out / "sequences.npz")
    with threadpool_limits(1):  # sums in one order: the same rows make the same model
        model, test = reported(rows, model_columns(catalog), out / "report.html")
        return 1 if compared(spark, settings, catalog, model, test, at_most, out) else 0


def reported(rows: pa.Table, features: Sequence[str], out: Path) -> tuple[Model, pa.Table]:
    """A model of the train rows, and the test rows, by which the page judges it."""
    train, test = (rows.filter(pc.equal(rows["asof_split"], part)) for part in ("train", "test"))
    model = trained(train, features)
    if not sum(test["label"].to_pylist()):
        raise InputError(
            f"None of the {len(test)} payments of the test is a fraud, so no model can be judged by them. Ingest more days."
        )
    judged = Judged(rows=test, scores=model.scores(test), inputs=model.inputs(test), trees=model.trees)
    out.write_text(report(judged, len(train), sum(train["label"].to_pylist())), encoding="utf-8")
    return model, test


def days_of(settings: Settings, as_of: date | None, test_days: int, warm_up_days: int) -> Days:
    """From the ingested days of payments: some to fill windows, then train, a horizon, test, and a horizon until all labels are known."""
    known = [midnight(date.fromisoformat(item.ds)) for item in ledger.partitions(settings, PAYMENTS.name)]
    if not known:
        raise InputError(
            "No payments are ingested in this home. Run `asof demo`, or the steps of README.md, and set ASOF_HOME."
        )
    horizon, last = (
        timedelta(microseconds=EARLY.horizon_us),
        midnight(as_of) if as_of else max(known) + timedelta(days=1),
    )
    test = last - horizon - timedelta(days=test_days)
    found = Days(
        start=min(known) + timedelta(days=warm_up_days),
        train_end=test - horizon,
        test=test,
        end=last - horizon,
        as_of=last,
    )
    if found.train_end <= found.start:
        raise InputError(
            f"The payments from {min(known):%Y-%m-%d} on are too few days before {last:%Y-%m-%d}: {warm_up_days} for windows, some to learn from, "
            f"{EARLY.horizon} to wait, {test_days} to be tested on and {EARLY.horizon} until labels are known. Ingest more days."
        )
    return found


def midnight(day: date) -> datetime:
    """The day's start, UTC."""
    return datetime.combine(day, time(), UTC)


def with_ours(catalog: Catalog) -> Catalog:
    """The catalogue with what is defined above."""
    views = (*(selection.view for selection in catalog.service(SERVICE).selections), CARD_SEQUENCE.name)
    training = FeatureService(name=TRAINING, owner="fraud-models", views=views)
    return replace(
        catalog, views=(*catalog.views, CARD_SEQUENCE), services=(*catalog.services, training), labels=(*catalog.labels, EARLY)
    )  # fmt: skip


def labelled(spark: SparkSession, settings: Settings, catalog: Catalog, days: Days, out: Path) -> pa.Table:
    """As `asof frame --label fraud_4d --sample keep=mature --split train_end=…` makes it."""
    asked = LabelledFrame(
        label=EARLY.name, start=days.start, end=days.end, as_of=days.as_of, service=TRAINING, out=str(out),
        sample=("keep=mature",), split=(f"train_end={days.train_end.isoformat()}",),
    )  # fmt: skip
    labelled_frame(spark, settings, catalog, label_ask(asked, EARLY), service=TRAINING, out=str(out))
    return pq.read_table(out)


def model_columns(catalog: Catalog) -> tuple[str, ...]:
    """Features of radar_v1, as the frame names them."""
    return tuple(f"{view.name}__{name}" for view, names in catalog.views_of(catalog.service(SERVICE)) for name in names)


def inputs(rows: pa.Table, columns: Sequence[str], categories: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What the trees read. Nulls are missing values, which they handle themselves."""
    made = {}
    for name in columns:
        column = rows[name]
        if name in categories:
            made[name] = pd.Categorical(column.to_pandas(), categories=categories[name])
        elif pa.types.is_timestamp(column.type):
            age = pc.subtract(rows["event_timestamp"].cast(pa.int64()), column.cast(pa.int64()))
            made[name] = age.cast(pa.float64()).to_numpy()
        else:
            made[name] = column.cast(pa.float64()).to_numpy()
    return pd.DataFrame(made)


def frequent(column: pa.ChunkedArray) -> list[str]:
    """The most frequent texts, as many as the trees take."""
    counts = [(-item["counts"], item["values"]) for item in pc.value_counts(column.drop_null()).to_pylist()]
    return [text for _, text in sorted(counts)[:CATEGORIES]]


def trained(train: pa.Table, features: Sequence[str]) -> Model:
    """Boosted trees on the first part of the rows, which are in order of time; calibrated on the rest."""
    cut = round(len(train) * (1 - CALIBRATION))
    first, later = train.slice(0, cut), train.slice(cut)
    frauds = [sum(part["label"].to_pylist()) for part in (first, later)]
    if not all(frauds):
        raise InputError(
            f"There are {frauds[0]} frauds to learn from and {frauds[1]} to calibrate on. Ingest more days."
        )
    columns = tuple(
        name for name in features if first[name].null_count < len(first)
    )  # what has no value teaches nothing
    categories = {name: frequent(first[name]) for name in columns if pa.types.is_string(first[name].type)}
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=15, early_stopping=False, categorical_features="from_dtype", random_state=0
    )  # fmt: skip
    weights = first["asof_weight"].to_numpy()
    trees.fit(inputs(first, columns, categories), first["label"].to_numpy(), sample_weight=weights)
    odds = trees.decision_function(inputs(later, columns, categories))
    sigmoid = LogisticRegression(C=1_000)
    sigmoid.fit(odds[:, None], later["label"].to_numpy(), sample_weight=later["asof_weight"].to_numpy())
    return Model(columns=columns, categories=categories, trees=trees, sigmoid=sigmoid)


def saved(rows: pa.Table, out: Path) -> None:
    """What a sequential model reads: each array has a line a row of frame.parquet, oldest first, padded in front."""
    amounts, merchants = (sequences(rows, CARD_SEQUENCE, of=f"{name}_30d") for name in ("amount_minor", "merchant_id"))
    np.savez_compressed(
        out, amount_minor=amounts.values, merchant_id=merchants.values.astype("U"),  # noqa: PD011 - no pandas
        times=amounts.times, mask=amounts.mask,
    )  # fmt: skip


def compared(
    spark: SparkSession, settings: Settings, catalog: Catalog, model: Model, rows: pa.Table, at_most: int, out: Path
) -> int:
    """How many scores of a frame's rows differ when they are computed from lookups.

    The store answers for instants of the generation that it serves. The frame's last rows within it are asked again at their own instants; where there are
    none, the last rows are asked anew at its beginning, in another frame and by lookups.
    """
    keys = sorted({name for view in views_for(catalog, SERVICE) for name in view.keys})
    with Reader(settings, catalog) as reader:
        start, end = served(reader, catalog, rows.select(keys).slice(0, 1).to_pylist(), micros(settings.now()))
        asked = rows["event_timestamp"].cast(pa.int64())
        own = rows.filter(pc.and_(pc.greater_equal(asked, start), pc.less(asked, end)))
        offline = last(own, at_most)
        if not len(own):
            again = last(rows, at_most).select(keys)
            instants = pa.array([start] * len(again), pa.int64()).cast(pa.timestamp("us", "UTC"))
            pq.write_table(again.append_column("event_timestamp", instants), out / "asked.parquet")
            frame(
                spark,
                settings,
                catalog,
                labels=str(out / "asked.parquet"),
                service=SERVICE,
                out=str(out / "asked_frame.parquet"),
            )
            offline = pq.read_table(out / "asked_frame.parquet")
        at = offline["event_timestamp"].cast(pa.int64()).to_pylist()
        found = [reader.lookup(SERVICE, [key], t) for key, t in zip(offline.select(keys).to_pylist(), at, strict=True)]
    answers = pa.concat_tables([reader.table(answer) for answer in found])
    online = answers.append_column("event_timestamp", offline["event_timestamp"])
    different = model.scores(offline).view(np.int64) != model.scores(online).view(np.int64)
    for place in np.flatnonzero(different)[:3]:
        names = [name for name in model.columns if offline[name][place].as_py() != online[name][place].as_py()]
        print(f"Row {place}, asked at {utc(at[place]).isoformat()}, differs in {', '.join(names)}.", file=sys.stderr)
    how = "at their own instants" if len(own) else f"at {utc(start).isoformat()}, when what is loaded became valid"
    print(f"{len(offline)} payments asked {how}: {int(different.sum())} scores from lookups differ from the frame's.")
    return int(different.sum())


def served(reader: Reader, catalog: Catalog, keys: Sequence[Mapping[str, str]], now: int) -> tuple[int, int]:
    """From when and until when frames too have the cuts that the store serves; microseconds UTC."""
    views = reader.lookup(SERVICE, keys, now).views
    spans = [
        (view.cuts[0] + schedule.lag_us, view.cuts[0] + schedule.lag_us + schedule.period_us)
        for view in views
        for schedule in (catalog.view(view.view).schedule,)
    ]
    return max(start for start, _ in spans), min(end for _, end in spans)


def last(rows: pa.Table, at_most: int) -> pa.Table:
    """The last rows, in time."""
    return rows.slice(max(0, len(rows) - at_most))


if __name__ == "__main__":
    sys.exit(main())
