"""Does it catch anything? `asof report`: attacks of the simulator that plain models find on held-back weeks (docs/report.md). Only the command knows Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.settings import Settings
    from jobs.commands import Report

__all__ = ["run"]


def run(command: Report, settings: Settings) -> int:
    """`asof report`; see jobs/report/framing.py."""
    from jobs.report.framing import run as run_  # noqa: PLC0415 - Spark costs a second, and whoever measures a frame needs none

    return run_(command, settings)
