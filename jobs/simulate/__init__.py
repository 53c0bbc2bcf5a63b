"""A deterministic world of a payments company with labelled attacks, as landing files (docs/simulator.md). No Spark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.simulate.bad_rows import BAD_ROWS as BAD_ROWS
from jobs.simulate.corruptions import CORRUPTIONS as CORRUPTIONS
from jobs.simulate.corruptions import corrupt as corrupt
from jobs.simulate.simulation import Report as Report
from jobs.simulate.simulation import simulate as simulate

if TYPE_CHECKING:
    from features.settings import Settings
    from jobs.commands import Simulate

__all__ = ["BAD_ROWS", "CORRUPTIONS", "Report", "corrupt", "run", "simulate"]


def run(command: Simulate, settings: Settings) -> int:  # noqa: ARG001  every command has both
    """`asof simulate`: prints what was written; a progress bar only on a terminal. Returns 0."""
    from rich.console import Console  # noqa: PLC0415  only a person at a terminal pays for it
    from rich.progress import Progress  # noqa: PLC0415

    out = Path(command.out)
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("simulating days", total=command.days)
        report = simulate(
            out,
            start=command.start,
            days=command.days,
            scale=command.scale,
            seed=command.seed,
            progress=lambda done: bar.update(task, completed=done),
        )
    rows = ", ".join(f"{count:,} {table}" for table, count in report.rows.items())
    attacks = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.attacks.items())) or "none"
    sys.stdout.write(
        f"Simulated {command.days} days into {out}: {rows} in {report.seconds:.1f} s.\n"
        f"Attack payments: {attacks}. Rows late: {report.late:,}, doubled: {report.doubled:,}, "
        f"corrected: {report.corrected:,}, voided: {report.voided:,}.\n"
        f"Content: sha256 {report.content}.\n"
    )
    return 0
