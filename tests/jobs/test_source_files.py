"""How much of a file is held at once."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.values.partition import ASK, entity_views
from jobs import source_files
from jobs.rows import Shape
from jobs.source_files import Unit, asked, pieces
from tests.jobs.catalogue_of_proofs import HABITS

(GROUP,) = entity_views((HABITS,))
PLAIN = Shape(corrected=False, later=False)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "_AT_ONCE", 15)


def test_asks_come_in_pieces_of_whole_row_groups(tmp_path: Path) -> None:
    path = str(tmp_path / "asks.parquet")
    cards = [None if n == 7 else f"c{n}" for n in range(35)]
    table = pa.table(
        {"card": cards, "event_timestamp": pa.array([NOON] * 35, pa.timestamp("us", "UTC")), "asof_row": range(35)}
    )
    pq.write_table(table, path, row_group_size=10)
    found = list(pieces(GROUP, Unit(part=ASK, paths=[path]), PLAIN))
    assert [len(piece) for piece in found] == [19, 15]
    assert pa.concat_tables(found).equals(asked(GROUP, path))
    assert [row for piece in found for row in piece["asof_row"].to_pylist()] == [n for n in range(35) if n != 7]


def test_events_of_several_files_come_in_pieces_with_what_is_known_alone(tmp_path: Path) -> None:
    paths = []
    schema = source_files.stored_schema(GROUP, HABITS.source, PLAIN)
    for number, known in enumerate([NOON, NOON, NOON.replace(hour=13)]):
        columns = {field.name: pa.nulls(20, field.type) for field in schema}
        columns |= {
            "card": pa.array([f"c{n}" for n in range(20)]), HABITS.source.event_time: pa.array([NOON] * 20, pa.timestamp("us", "UTC")),
            "asof_op": pa.array(["add"] * 20), "asof_known_at": pa.array([known] * 20, pa.timestamp("us", "UTC")),
        }  # fmt: skip
        paths.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(pa.table(columns, schema=schema), paths[-1], row_group_size=8)
    before = int(NOON.timestamp()) * 1_000_000 + 1
    found = list(pieces(GROUP, Unit(part=0, paths=paths, before=before), PLAIN))
    assert [len(piece) for piece in found] == [16, 20, 4]
    assert sorted(pa.concat_tables(found)["k0"].to_pylist()) == sorted([f"c{n}" for n in range(20)] * 2)
