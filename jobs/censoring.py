"""`asof censoring`: of each day of events how many labels are open, and how long outcomes take; as a table, JSON, or a page that opens without a server."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from features.definitions.catalog import load_catalog
from features.definitions.compiled import hash_of
from features.definitions.names import micros, utc
from features.definitions.services import Label
from features.settings import Settings
from features.values.censoring import day_rows, lag_curve
from features.values.labels import POSITIVE, STATUSES
from jobs.censoring_page import censoring_page
from jobs.commands import Censoring
from jobs.files import write_text
from jobs.outcomes import Span, labelled_events, told_of
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["censoring", "run"]


def run(command: Censoring, settings: Settings) -> int:
    """Prints the table, or writes the page or the JSON."""
    label = load_catalog(settings.catalog).label(command.label)
    span = Span(start=micros(command.start), end=micros(command.end), as_of=micros(command.as_of))
    found = censoring(session(settings, "censoring"), settings, label, span)
    if command.out is None:
        _show(found)
        return 0
    text = censoring_page(found) if command.out.endswith(".html") else json.dumps(found, indent=1)
    write_text(command.out, text)
    say(f"{told_of(_totals(found), found['unknown'])} The report is {command.out}.")
    return 0


def censoring(spark: SparkSession, settings: Settings, label: Label, span: Span) -> dict[str, Any]:
    """Plain JSON data: `days`, a row a UTC day of event_time; `lag`, the lag curve; and what was asked for.

    Raises:
        MissingError: a partition of a source before `as_of` is not there.
        InputError: outcomes arrived before their events.
    """
    with translated(settings.logs):
        found = labelled_events(spark, settings, label, span, (), _tell(label.event_source.event_time))
    told = [json.loads(item) for item in found.told]
    happened, known = (np.array([at for item in told for at in item[name]], np.int64) for name in ("happened", "known"))
    earliest = min((item["earliest"] for item in told), default=span.start)
    curve = lag_curve(happened, known, horizon=label.horizon_us, as_of=span.as_of, earliest=earliest)
    return {
        "label": label.name, "hash": hash_of(label), "horizon": label.horizon,
        "start": utc(span.start).isoformat(), "end": utc(span.end).isoformat(), "as_of": utc(span.as_of).isoformat(),
        "days": day_rows([tuple(row) for item in told for row in item["days"]]),
        "lag": {"reach_days": curve.reach, "positives": curve.positives, "shares": list(curve.shares)},
        "unknown": found.unknown,
    }  # fmt: skip


def _tell(event_time: str) -> Any:  # noqa: ANN401 - a function for workers
    def tell(rows: pa.Table) -> str:
        days = pc.strftime(rows[event_time], "%Y-%m-%d")
        counts = (
            pa.table({"day": days, "status": rows["label_status"]})
            .group_by(["day", "status"])
            .aggregate([([], "count_all")])
        )
        positive = rows.filter(pc.equal(rows["label_status"], POSITIVE))
        happened, known = (positive[name].cast(pa.int64()).to_pylist() for name in (event_time, "label_known_at"))
        told = {
            "days": [list(row.values()) for row in counts.select(["day", "status", "count_all"]).to_pylist()],
            "happened": happened,
            "known": known,
        }
        if len(rows):
            told["earliest"] = pc.min(rows[event_time].cast(pa.int64())).as_py()
        return json.dumps(told)

    return tell


def _totals(found: Mapping[str, Any]) -> dict[str, int]:
    return {name: sum(row[name] for row in found["days"]) for name in STATUSES}


def _show(found: Mapping[str, Any]) -> None:
    title = f"{found['label']} as of {found['as_of']}, horizon {found['horizon']}"
    days = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("day", "events", *STATUSES, "share pending"):
        days.add_column(name, justify="left" if name == "day" else "right", no_wrap=True)
    for row in found["days"]:
        share = "-" if row["share_pending"] is None else f"{row['share_pending']:.1%}"
        days.add_row(row["day"], str(row["events"]), *(str(row[name]) for name in STATUSES), share)
    Console(highlight=False).print(days)
    shares = found["lag"]["shares"]
    shown = [n for n in (1, 3, 7, 14, 30, 60, 90, 120) if n < len(shares)]
    parts = ", ".join(f"{shares[n]:.1%} within {n} d" for n in shown)
    say(
        f"Of positives known within {found['lag']['reach_days']} d: {parts or 'none yet'}; learned from {found['lag']['positives']}."
    )
    say(told_of(_totals(found), found["unknown"]))
