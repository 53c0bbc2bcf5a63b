"""Whether a cut may begin: its partitions are there, and whole."""

from datetime import UTC, datetime

import pytest

from features.definitions.names import micros
from features.errors import BusyError
from features.settings import Settings
from jobs import ledger, ready
from jobs.commands import Ready

CUT = datetime(2026, 3, 12, tzinfo=UTC)
COMMAND = Ready(cut=CUT)


@pytest.fixture
def home(settings: Settings) -> Settings:
    return settings.model_copy(update={"catalog": "tests.jobs.catalogue_of_audits"})


def ingested(home: Settings, source: str, at: datetime) -> None:
    ledger.record_ingest(home, ledger.Partition(source=source, ds="2026-03-11", rows=5, ingested_at=micros(at)))


def test_partitions_that_are_whole_are_ready(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    ingested(home, "sales", CUT)
    ingested(home, "returns", datetime(2026, 3, 12, 0, 20, tzinfo=UTC))
    assert ready.run(COMMAND, home) == 0
    assert capsys.readouterr().out == "ds=2026-03-11 is there of returns, sales.\n"


def test_a_missing_partition_is_waited_for(home: Settings) -> None:
    ingested(home, "returns", CUT)
    with pytest.raises(BusyError) as waits:
        ready.run(COMMAND, home)
    assert str(waits.value) == (
        "Not ready for the cut 2026-03-12T00:00:00+00:00: sales have no partition ds=2026-03-11. "
        "They come with `asof ingest --source sales --input … --ds 2026-03-11`; until then the scheduler tries again."
    )


def test_a_partition_ingested_before_the_cut_is_waited_for(home: Settings) -> None:
    ingested(home, "sales", datetime(2026, 3, 11, 23, 59, tzinfo=UTC))
    ingested(home, "returns", CUT)
    with pytest.raises(BusyError) as waits:
        ready.run(COMMAND, home)
    assert str(waits.value) == (
        "Not ready for the cut 2026-03-12T00:00:00+00:00: ds=2026-03-11 of sales was ingested at 2026-03-11T23:59:00+00:00, before the cut, "
        "so events may be missing. Ingest it again: `asof ingest --source sales --input … --ds 2026-03-11`; until then the scheduler tries again."
    )
