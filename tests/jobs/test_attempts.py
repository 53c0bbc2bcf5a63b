"""Attempts: finished only with their record, the newest wins, another definition's are ignored."""

from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions.catalog import load_catalog
from features.errors import BusyError
from features.settings import Settings
from jobs import attempts
from jobs.attempts import Attempt

CATALOG = load_catalog("tests.jobs.catalogue_of_loads")
VIEW, OTHER = CATALOG.view("load_habits"), CATALOG.view("load_profile")
CUT = 1_772_409_600_000_000  # 2026-03-02


def made(settings: Settings, *, finished_at: float | None, view: str = "load_habits", cut: int = CUT) -> Attempt:
    attempt = attempts.new_attempt(settings, CATALOG.view(view), cut)
    Path(attempt.location).mkdir(parents=True)
    if finished_at is not None:
        attempts.finish(attempt, {"finished_at": finished_at, "rows": 3})
    return attempt


def test_no_folder_is_no_attempt(settings: Settings) -> None:
    assert attempts.finished(settings, VIEW, CUT) is None
    assert attempts.cuts_with_attempts(settings, VIEW) == ()


def test_an_attempt_counts_once_its_record_lies_beside_its_rows(settings: Settings) -> None:
    attempt = made(settings, finished_at=None)
    (Path(attempt.location) / "part-0.parquet").write_bytes(b"rows")
    assert attempts.finished(settings, VIEW, CUT) is None
    attempts.finish(attempt, {"finished_at": 1.0, "rows": 3})
    assert attempts.finished(settings, VIEW, CUT) == attempt
    assert attempt.record("finished") == {
        "finished_at": 1.0, "rows": 3, "view": "load_habits", "cut": "2026-03-02T00-00Z", "definition": attempt.definition,
    }  # fmt: skip
    assert attempt.record("verdict") is None


def test_every_attempt_has_its_own_place_and_the_newest_wins(settings: Settings) -> None:
    old, new, unfinished = (
        made(settings, finished_at=1.5),
        made(settings, finished_at=20.0),
        made(settings, finished_at=None),
    )
    older = made(settings, finished_at=0.5)
    assert len({item.location for item in (old, new, unfinished, older)}) == 4
    assert attempts.finished(settings, VIEW, CUT) == new


def test_an_attempt_by_another_definition_is_ignored(settings: Settings) -> None:
    attempt = made(settings, finished_at=1.0)
    changed = replace(VIEW, features=VIEW.features[:1])
    assert attempts.finished(settings, changed, CUT) is None
    assert attempts.finished(settings, VIEW, CUT) == attempt
    described = replace(VIEW, description="Told otherwise, computed the same.")
    assert attempts.finished(settings, described, CUT) == attempt, "a text changes no value"


def test_cuts_and_views_are_apart(settings: Settings) -> None:
    made(settings, finished_at=1.0, cut=CUT + 86_400_000_000)
    made(settings, finished_at=1.0, view="load_profile")
    assert attempts.finished(settings, VIEW, CUT) is None
    assert attempts.cuts_with_attempts(settings, VIEW) == (CUT + 86_400_000_000,)
    assert attempts.cuts_with_attempts(settings, OTHER) == (CUT,)


def test_a_record_is_replaced_whole_and_leaves_nothing_beside_it(settings: Settings) -> None:
    attempt = made(settings, finished_at=1.0)
    attempt.write("verdict", {"verdict": "hold"})
    attempt.write("verdict", {"verdict": "pass"})
    assert attempt.record("verdict") == {"verdict": "pass"}
    assert sorted(path.name for path in Path(attempt.location).iterdir()) == ["_finished.json", "_verdict.json"]


def test_a_record_that_cannot_be_written_is_said(settings: Settings) -> None:
    attempt = attempts.new_attempt(settings, VIEW, CUT)
    Path(attempt.location).parent.mkdir(parents=True)
    Path(attempt.location).write_text("a file where the folder belongs")
    with pytest.raises(
        BusyError,
        match=r"_verdict\.json cannot be written: .*Nothing was changed; mend the file system and run",
    ):
        attempt.write("verdict", {"verdict": "pass"})
