"""`asof held`: says whether any view of a cut is held, by the verdicts that `validate` wrote. No Spark."""

from features.definitions.names import cut_text
from features.errors import HeldError, MissingError
from features.settings import Settings
from jobs.audits import verdict_of
from jobs.commands import Exit, Stage
from jobs.stages import say, stage_views

__all__ = ["run"]


def run(command: Stage, settings: Settings) -> int:
    """0 where no view is held.

    Raises:
        HeldError: names the held views and why (exit code 3).
        MissingError: a view was not validated at this cut.
    """
    _, views, cut = stage_views(command, settings)
    reports = {view.name: verdict_of(settings, view, cut) for view in views}
    unknown = [name for name, report in reports.items() if report is None]
    if unknown:
        validated = [name for name, report in reports.items() if report is not None]
        raise MissingError.of(
            "verdict",
            f"{unknown[0]} at {cut_text(cut)}",
            validated,
            f"Run `asof validate --cut {command.cut.isoformat()}` first.",
        )
    held = [report for report in reports.values() if report is not None and report.verdict == "hold"]
    if held:
        reasons = "\n".join(f"  {report.subject}: {report.because or report.failures[0].sentence()}" for report in held)
        msg = f"{len(held)} of {len(views)} views are held at {cut_text(cut)}; their last good values stay:\n{reasons}"
        raise HeldError(msg)
    say(f"None of {len(views)} views is held at {cut_text(cut)}.")
    return Exit.OK
