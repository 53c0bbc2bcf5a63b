"""Manifests without Spark: what changed of sources, definitions and files, in sentences; and files that are no manifests."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import micros, utc
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import ledger, rebuild
from jobs.commands import Rebuild
from jobs.ledger import Partition
from jobs.manifest import (
    Snapshots,
    befores_of,
    definition,
    definitions_of,
    environment,
    manifest_path,
    newer_definitions,
    read_manifest,
    snapshots,
    source_changes,
    write_manifest,
)
from tests.jobs.catalogue_of_labels import BOUGHT, CHARGEBACK, SERVICE, VIEW

BEFORE = micros(utc(0).fromisoformat("2026-03-03T10:00:00+00:00"))


def day(home: Settings, n: int, **changes: Any) -> Partition:
    given: dict[str, Any] = {
        "source": BOUGHT.name,
        "ds": f"2026-03-{n:02d}",
        "rows": 5,
        "content": f"{n}00",
        "ingested_at": 7,
    }
    return ledger.record_ingest(home, Partition(**given | changes))


@pytest.fixture
def home(settings: Settings) -> Settings:
    for n in (1, 2, 3):
        day(settings, n)
    return settings.model_copy(update={"catalog": "tests.jobs.catalogue_of_labels"})


def known(home: Settings) -> Snapshots:
    return snapshots(home, [(BOUGHT.name, BEFORE)])


def test_a_snapshot_holds_the_partitions_before_an_instant(home: Settings) -> None:
    day(home, 4)
    found = snapshots(home, [(BOUGHT.name, BEFORE - 1), (BOUGHT.name, BEFORE), ("never_ingested", BEFORE)])
    assert found == {
        BOUGHT.name: {"before": "2026-03-03T10:00:00+00:00", "partitions": {f"2026-03-0{n}": {"rows": 5, "content": f"{n}00", "whole": True} for n in (1, 2, 3)}},
        "never_ingested": {"before": "2026-03-03T10:00:00+00:00", "partitions": {}},
    }  # fmt: skip
    assert snapshots(home, befores_of(found)) == found
    midnight = snapshots(home, [(BOUGHT.name, BEFORE - 10 * 3_600_000_000)])
    assert list(midnight[BOUGHT.name]["partitions"]) == ["2026-03-01", "2026-03-02"]


def test_what_changed_of_a_source_is_told_by_partition(home: Settings) -> None:
    before = known(home)
    day(home, 2, ingested_at=9)  # the very rows again
    day(home, 4)
    assert source_changes(before, known(home)) == []
    day(home, 1, content="7", rows=6)
    ledger.release(home, ledger.hold(home, day(home, 2), at=1, reason="r"), at=5)
    ledger.hold(home, day(home, 3), at=1, reason="r")
    assert source_changes(before, known(home)) == [
        "source labelled_payments, partition 2026-03-01: rows was 5, is 6, content was 100, is 7",
        "source labelled_payments, partition 2026-03-02: released_at was None, is 5",
        "source labelled_payments, partition 2026-03-03: held was None, is True",
    ]
    assert source_changes(before, {})[0] == "source labelled_payments, partition 2026-03-01: is not there any more"
    later = {
        BOUGHT.name: {
            **before[BOUGHT.name],
            "partitions": {"2026-02-28": {"rows": 1}, **before[BOUGHT.name]["partitions"]},
        }
    }
    assert source_changes(before, later) == ["source labelled_payments, partition 2026-02-28: was not there"]


def test_where_rows_were_not_hashed_their_ingest_stands_for_them(home: Settings) -> None:
    day(home, 2, content=None)
    before = known(home)
    assert source_changes(before, known(home)) == []
    day(home, 2, content=None, ingested_at=8)
    assert source_changes(before, known(home)) == [
        "source labelled_payments, partition 2026-03-02: ingested_at was 7, is 8"
    ]


def written(home: Settings, folder: Path, **asks: Any) -> str:
    """The path of the manifest of a small frame."""
    out = folder / "frame.parquet"
    pq.write_table(pa.table({"card": ["c"], "n": [1]}), out)
    write_manifest(str(out), SERVICE, [VIEW], asks, known(home))
    return manifest_path(out)


def changed(path: str, change: Any) -> str:
    found = json.loads(Path(path).read_text())
    change(found)
    Path(path).write_text(json.dumps(found))
    return path


def test_a_manifest_says_what_the_frame_is_and_its_definitions_come_back(home: Settings, tmp_path: Path) -> None:
    label = {"label": {"name": CHARGEBACK.name, **definition(CHARGEBACK)}}
    path = written(home, tmp_path, **label)
    found = read_manifest(path)
    assert found["frame"]["rows"] == 1
    assert found["frame"]["columns"] == {"card": "string", "n": "int64"}
    assert found["environment"] == environment()
    catalog, service, loaded = definitions_of(path, found)
    assert [definition(item) for item in (*catalog.views, service, loaded)] == [
        definition(item) for item in (VIEW, SERVICE, CHARGEBACK)
    ]
    assert newer_definitions(found, load_catalog(home.catalog)) == []
    assert newer_definitions(found, Catalog(views=(replace(VIEW, remember="20d"),), services=(SERVICE,))) == [
        f"view labelled_cards had the hash {definition(VIEW)['hash']}, the catalogue's has {definition(replace(VIEW, remember='20d'))['hash']}",
        f"label chargeback had the hash {definition(CHARGEBACK)['hash']}, the catalogue's has none",
    ]


def test_files_that_are_no_manifests(home: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        MissingError, match=r"There is no manifest .*none\.json\. A frame's is beside it: FRAME\.manifest\.json\."
    ):
        read_manifest(str(tmp_path / "none.json"))
    path = changed(written(home, tmp_path, file="f", sha256="s"), lambda found: found.pop("views"))
    with pytest.raises(InputError, match=r"is no manifest of a frame: it lacks views\. Name the file"):
        read_manifest(path)


def test_a_definition_that_was_changed_in_the_manifest_is_refused(home: Settings, tmp_path: Path) -> None:
    path = changed(
        written(home, tmp_path, file="f", sha256="s"),
        lambda found: found["views"]["labelled_cards"].update(hash="0" * 16),
    )
    with pytest.raises(InputError) as caught:
        rebuild.run(Rebuild(manifest=path, out="/none"), home)
    assert (
        f"its definition of view labelled_cards has the hash {definition(VIEW)['hash']}, and beside it stands {'0' * 16}."
        in str(caught.value)
    )


def test_all_that_changed_is_said_at_once_before_spark_starts(home: Settings, tmp_path: Path) -> None:
    path = written(home, tmp_path, file=str(tmp_path / "labels.csv"), sha256="s")
    day(home, 1, rows=6)
    with pytest.raises(InputError) as caught:
        rebuild.run(Rebuild(manifest=path, out="/none"), home)
    assert str(caught.value) == (
        f"The frame of {path} cannot be made again: 2 input(s) changed since.\n"
        "  source labelled_payments, partition 2026-03-01: rows was 5, is 6\n"
        f"  label file {tmp_path}/labels.csv: is not there; if it moved, say where with --labels\n"
        "Bring those back as they were, or make a new frame from what is there now."
    )


def test_a_frame_of_a_label_takes_no_label_file(home: Settings, tmp_path: Path) -> None:
    path = written(home, tmp_path, label={"name": CHARGEBACK.name, **definition(CHARGEBACK)})
    with pytest.raises(
        InputError, match=r"has the events of a label as its rows, and no label file\. Leave --labels away\."
    ):
        rebuild.run(Rebuild(manifest=path, out="/none", labels="labels.csv"), home)


def test_what_is_no_input_is_noted(home: Settings, tmp_path: Path) -> None:
    found = read_manifest(
        changed(written(home, tmp_path, file="f", sha256="s"), lambda found: found["environment"].update(pyarrow="1.0"))
    )
    assert rebuild.notes(home, found) == [
        f"The environment has changed: pyarrow was 1.0, is {environment()['pyarrow']}."
    ]
    other = home.model_copy(update={"catalog": "tests.jobs.shop"})
    assert rebuild.notes(other, found)[0] == (
        f"Made with the manifest's definitions; since then view labelled_cards had the hash {definition(VIEW)['hash']}, the catalogue's has none; "
        f"service labelled_v1 had the hash {definition(SERVICE)['hash']}, the catalogue's has none."
    )
    gone = home.model_copy(update={"catalog": "no_such_module"})
    assert rebuild.notes(gone, found)[0].startswith(
        "Made with the manifest's definitions; since then the catalogue cannot be loaded (There is no module 'no_such_module'"
    )
