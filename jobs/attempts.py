"""Attempts at a cut of a view: each has its own location, and is finished once its record lies beside its rows. No Spark.

ROOT/features/<view>/cut=<cut>/<definition hash>-<run>/part-….parquet, _finished.json, _profile.json, _verdict.json
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from features.definitions.compiled import hash_of
from features.definitions.names import cut_text, parse_cut
from features.definitions.views import FeatureView
from features.settings import Settings
from jobs.files import folders, read_record, write_record

__all__ = ["Attempt", "cuts_with_attempts", "finish", "finished", "new_attempt", "root", "view_root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One computation of one cut of one view."""

    view: str
    cut: int
    """Microseconds UTC."""

    definition: str
    """Hash of the definition it was computed by."""

    run: str
    location: str
    """The folder that holds its Parquet files and records."""

    def record(self, name: str) -> dict[str, Any] | None:
        """`finished` (rows, sources, seconds), `profile` or `verdict`; None where it is missing."""
        return read_record(f"{self.location}/_{name}.json")

    def write(self, name: str, record: dict[str, Any]) -> None:
        """Puts a record beside the rows, whole or not at all."""
        write_record(f"{self.location}/_{name}.json", record)


def root(settings: Settings) -> str:
    """The folder of all tables."""
    return settings.tables_root


def view_root(settings: Settings, view: str) -> str:
    """Where a view's attempts lie."""
    return f"{root(settings)}/features/{view}"


def new_attempt(settings: Settings, view: FeatureView, cut: int) -> Attempt:
    """A location nobody else writes to."""
    definition, run = hash_of(view), uuid4().hex[:12]
    location = f"{view_root(settings, view.name)}/cut={cut_text(cut)}/{definition}-{run}"
    return Attempt(view=view.name, cut=cut, definition=definition, run=run, location=location)


def finish(attempt: Attempt, record: dict[str, Any]) -> None:
    """Its rows are complete and counted."""
    attempt.write(
        "finished", {**record, "view": attempt.view, "cut": cut_text(attempt.cut), "definition": attempt.definition}
    )


def finished(settings: Settings, view: FeatureView, cut: int) -> Attempt | None:
    """The newest finished attempt at a cut by the current definition; None where there is none."""
    base = f"{view_root(settings, view.name)}/cut={cut_text(cut)}"
    found: list[tuple[float, Attempt]] = []
    for name in folders(base):
        definition, _, run = name.partition("-")
        attempt = Attempt(view=view.name, cut=cut, definition=definition, run=run, location=f"{base}/{name}")
        record = attempt.record("finished") if definition == hash_of(view) else None
        if record is not None:
            found.append((float(record["finished_at"]), attempt))
    return max(found, key=lambda item: item[0])[1] if found else None


def cuts_with_attempts(settings: Settings, view: FeatureView) -> tuple[int, ...]:
    """Cuts that have a folder, oldest first."""
    return tuple(
        parse_cut(name.removeprefix("cut="))
        for name in folders(view_root(settings, view.name))
        if name.startswith("cut=")
    )
