"""`asof audit FRAME`: whether a training frame knows what could not have been known; a table, JSON, or a page that opens without a server.

The audit of a cut before it is published is another matter: jobs/audits.py.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.settings import Settings
from jobs.arrivals import arrivals, label_arrival
from jobs.audited import AuditedFrame, Targets, opened, targets, written_as_told
from jobs.commands import Audit, Exit
from jobs.files import write_text
from jobs.findings import CHECKS, Finding, as_json, verdict
from jobs.future_shift import future_shift, sampled
from jobs.labels import EVENT_TIMESTAMP
from jobs.leaks_page import leaks_page
from jobs.manifest import manifest_path
from jobs.overwritten import overwritten
from jobs.rebuild import refuse_source_changes
from jobs.separation import LEAST_ROWS, separation
from jobs.session import spark as session
from jobs.shuffled import copies, event_codes, shuffled_labels
from jobs.spark_errors import translated
from jobs.stages import say

__all__ = ["audit", "label_checks", "run", "show"]

_SHOWN = 10


def run(command: Audit, settings: Settings) -> int:
    """Audits a frame, prints or writes what was found, and says by the exit code whether it leaks."""
    frame = opened(command.frame)
    refuse_source_changes(settings, manifest_path(frame.path), frame.manifest)
    targets(frame, command.target, command.split)  # what is wrong with a column is said before Spark starts
    found = audit(session(settings, "audit"), settings, frame, command)
    if command.output == "json":
        say(json.dumps(found, indent=1))
    else:
        show(found)
    if command.out is not None:
        write_text(command.out, leaks_page(found) if command.out.endswith(".html") else json.dumps(found, indent=1))
    return Exit.LEAKS if found["verdict"] == "leaks" else Exit.OK


def audit(spark: SparkSession, settings: Settings, frame: AuditedFrame, command: Audit) -> dict[str, Any]:
    """Plain JSON data: the `verdict`, the `findings`, leaks first, and in `checks` what each check saw.

    Raises:
        MissingError: a source partition, or a named column, is not there.
        InputError: labels or parts of the frame cannot be used.
    """
    aimed = targets(frame, command.target, command.split)
    positive = aimed.rows[aimed.positive] if aimed is not None else np.array([], np.int64)
    rows = sampled(frame.rows, command.rows, positive, command.seed)
    with translated(settings.logs):
        made = {
            "future shift": future_shift(spark, settings, frame, rows), "arrival": arrivals(spark, settings, frame)
        }  # fmt: skip
        if aimed is not None:
            made["arrival"] = _joined(
                made["arrival"], overwritten(spark, settings, frame, aimed, command.threshold, command.seed)
            )
    made |= label_checks(frame, aimed, command)
    findings: list[Finding] = written_as_told(frame)
    for check in made.values():
        findings += check.pop("findings")
    return {
        "frame": frame.path, "rows": frame.rows, "service": frame.service.name, "label": frame.label.name if frame.label else None,
        "threshold": command.threshold, "seed": command.seed, "sample": len(rows), "verdict": verdict(findings),
        "findings": as_json(findings), "checks": made,
    }  # fmt: skip


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **other, "findings": [*one["findings"], *other["findings"]]}


def label_checks(frame: AuditedFrame, aimed: Targets | None, command: Audit) -> dict[str, Any]:
    """The checks that need labels, and no sources; `aimed` is None where the frame has none."""
    if aimed is None:
        says = "The frame has no column label. Name the column of its labels with --target."
        return {
            check: {"findings": [Finding(check=check, severity="not done", name=check, says=says)]}
            for check in ("shuffled labels", "separation")
        }
    columns = {name: frame.column(name).take(aimed.rows) for name in frame.features}
    of_event = [frame.column(name).take(aimed.rows) for name in (*frame.keys, EVENT_TIMESTAMP)]
    events = event_codes(of_event)
    shuffled = shuffled_labels(columns, aimed.positive, events, aimed.parts, command.seed)
    shuffled["findings"] = [*copies(events, aimed.parts), *shuffled["findings"]]
    alone = [
        separation(name, column, aimed.positive, command.threshold, command.seed) for name, column in columns.items()
    ]
    findings = [*label_arrival(frame, aimed), *(finding for each in alone for finding in each.pop("findings"))]
    few = min(int(aimed.positive.sum()), int((~aimed.positive).sum()))
    if few < LEAST_ROWS:
        says = f"The frame has {int(aimed.positive.sum())} positive rows of {len(aimed.rows)} with a mature label; {LEAST_ROWS} of each kind are needed to tell anything."
        findings.append(Finding(check="separation", severity="not done", name="separation", says=says))
    return {"shuffled labels": shuffled, "separation": {"features": alone, "findings": findings}}


def show(found: Mapping[str, Any]) -> None:
    """Prints the checks, the findings and the verdict."""
    console = Console(highlight=False)
    title = f"{found['frame']}: {found['rows']} rows for service {found['service']}"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("check", "result", "warnings", "where it passes"):
        table.add_column(name, justify="right" if name == "warnings" else "left")
    for check, holds in CHECKS.items():
        kinds = [each["severity"] for each in found["findings"] if each["check"] == check]
        result = "leaks" if "leak" in kinds else "not done" if "not done" in kinds else "passes"
        table.add_row(check, result, str(kinds.count("warning")), holds)
    console.print(table)
    for each in found["findings"]:
        console.print(f"{each['severity']}: {each['name']}: {each['says']}", soft_wrap=True, markup=False)
    leaks = list(dict.fromkeys(each["name"] for each in found["findings"] if each["severity"] == "leak"))
    names = ", ".join(leaks[:_SHOWN]) + (" …" if len(leaks) > _SHOWN else "")
    console.print(f"The frame leaks: {names}." if leaks else "No leak was found.", soft_wrap=True, markup=False)
