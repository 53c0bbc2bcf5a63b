"""What an audit says without Spark: of files and manifests, labels and parts, and the arrival of labels."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import Window
from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import status_column
from features.errors import InputError, InvalidDefinitionError, MissingError
from features.settings import Settings
from features.values.sweep import ARROW_TYPES
from jobs import audit, ledger
from jobs.arrivals import label_arrival
from jobs.audited import AuditedFrame, opened, targets, written_as_told
from jobs.commands import Audit
from jobs.findings import Finding, Severity, as_json, verdict
from jobs.future_shift import future_shift, sampled
from jobs.ledger import Partition
from jobs.manifest import manifest_path, snapshots, write_manifest
from jobs.shuffled import copies, event_codes
from tests.jobs.catalogue_of_leaks import CLEAN, PAID

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALOGUE = "tests.jobs.catalogue_of_leaks"
SIZE = 200
INSTANTS = [datetime(2026, 3, 5, tzinfo=UTC) + timedelta(minutes=n) for n in range(SIZE)]
LABELS = [1 if n % 4 == 0 else 0 for n in range(SIZE)]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOGUE)


def frame(
    catalog: Catalog, out: Path, columns: Mapping[str, Any], sources: Mapping[str, Any] | None = None
) -> AuditedFrame:
    """A frame of a label file, and its manifest."""
    instants = pa.array(INSTANTS, ARROW_TYPES["timestamp"])
    features = {f"{view.name}__{name}": pa.nulls(SIZE, ARROW_TYPES[view.types[name]])
                for view, names in catalog.views_of(CLEAN) for name in names}  # fmt: skip
    features |= {status_column(view): pa.nulls(SIZE, pa.string()) for view, _ in catalog.views_of(CLEAN)}
    given = {"card": [f"c{n}" for n in range(SIZE)], "event_timestamp": instants} | dict(columns)
    pq.write_table(pa.table(given | features), out)
    views = [view for view, _ in catalog.views_of(CLEAN)]
    write_manifest(str(out), CLEAN, views, {"file": "labels.csv", "sha256": "0"}, dict(sources or {}))
    return opened(str(out))


def test_a_file_that_is_no_frame_is_named(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "frame.parquet"
    with pytest.raises(
        MissingError,
        match=r"There is no frame .*frame\.parquet\. Name the Parquet file that `asof frame --out` wrote\.",
    ):
        opened(str(out))
    frame(catalog, out, {})
    kept = out.read_bytes()
    out.write_text("a,b\n")
    with pytest.raises(InputError, match=r"frame\.parquet is no Parquet file: .* not its manifest\."):
        opened(str(out))
    pq.write_table(pa.table({"card": ["c"]}), out)
    with pytest.raises(InputError) as caught:
        opened(str(out))
    assert str(caught.value) == (
        f"The frame {out} has no column event_timestamp, leak_cards__asof_status, leak_cards__count_1d, which its manifest names. "
        f"It was written anew: make it again from {out}.manifest.json."
    )
    out.write_bytes(kept)
    Path(manifest_path(out)).unlink()
    with pytest.raises(MissingError, match="There is no manifest"):
        opened(str(out))


def test_a_frame_edited_by_hand_after_its_manifest_is_a_leak(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "frame.parquet"
    made = frame(catalog, out, {"label": LABELS})
    assert written_as_told(made) == []
    table = pq.read_table(out)
    place = table.schema.get_field_index("leak_cards__count_1d")
    pq.write_table(table.set_column(place, "leak_cards__count_1d", pa.array(LABELS, pa.int64())), out)
    (finding,) = written_as_told(opened(str(out)))
    assert (finding.check, finding.severity, finding.name) == ("manifest", "leak", "frame.parquet")
    assert finding.says.startswith("the file was changed after its manifest was written: its sha256 is ")
    assert finding.says.endswith(f"make it again with `asof frame --from-manifest {out}.manifest.json`.")


def test_labels_and_parts_of_columns_that_a_person_names(catalog: Catalog, tmp_path: Path) -> None:
    parts = ["train" if n < 120 else "test" if n < 190 else None for n in range(SIZE)]
    made = frame(catalog, tmp_path / "f", {"fraud": [bool(each) for each in LABELS], "part": parts})
    assert targets(made, None, None) is None
    aimed = targets(made, "fraud", "part")
    assert aimed is not None
    assert (aimed.positive.sum(), aimed.parts.train.sum(), aimed.parts.test.sum()) == (50, 120, 70)
    assert aimed.parts.how == "the column part says so"
    by_time = targets(made, "fraud", None)
    assert by_time is not None
    assert by_time.parts.train.sum() == 140


def test_only_mature_rows_have_labels(catalog: Catalog, tmp_path: Path) -> None:
    mature = [n < 100 for n in range(SIZE)]
    made = frame(catalog, tmp_path / "f", {"label": [None, *LABELS[1:]], "label_mature": mature})
    aimed = targets(made, None, None)
    assert aimed is not None
    assert aimed.rows.tolist() == list(range(1, 100))


@pytest.mark.parametrize(("columns", "target", "split", "kind", "said"), [
    ({}, "fraud", None, MissingError, "There is no column of {out} 'fraud'. Known: card, event_timestamp, "),
    ({"label": LABELS}, None, "part", MissingError, "--split names it."),
    ({"label": ["yes"] * SIZE}, None, None, InputError, "The labels label of {out} are string. They must be 1, 0 or null, or booleans; --target names another column."),
    ({"label": [2, 7] * 100}, None, None, InputError, "The labels label of {out} hold 2, 7. They must be 1, 0 or null"),
    ({"label": LABELS, "part": LABELS}, None, "part", InputError, "The column part of {out} is int64. It must say train and test; --split names another column."),
    ({"label": LABELS, "part": ["a", "b"] * 100}, None, "part", InputError, "The column part of {out} puts no row with a mature label into train: it says 'a', 'b'. It must say train and test."),
])  # fmt: skip
def test_columns_that_cannot_be_used(
    catalog: Catalog, tmp_path: Path, columns: dict[str, Any], target: str | None, split: str | None, kind: type[InputError], said: str
) -> None:  # fmt: skip
    made = frame(catalog, tmp_path / "f", columns)
    with pytest.raises(kind) as caught:
        targets(made, target, split)
    assert said.format(out=made.path) in str(caught.value)


def test_rows_of_train_in_test_are_found_in_a_frame(catalog: Catalog, tmp_path: Path) -> None:
    instants = pa.array([*INSTANTS[:100], *INSTANTS[:100]], ARROW_TYPES["timestamp"])
    cards, parts = [f"c{n % 100}" for n in range(SIZE)], ["train"] * 100 + ["test"] * 100
    made = frame(catalog, tmp_path / "f", {"card": cards, "event_timestamp": instants, "label": LABELS, "part": parts})
    aimed = targets(made, None, "part")
    assert aimed is not None
    events = event_codes([made.column(name).take(aimed.rows) for name in (*made.keys, "event_timestamp")])
    (finding,) = copies(events, aimed.parts)
    assert (finding.severity, finding.name) == ("leak", "rows of train in test")


@pytest.mark.parametrize(("column", "severity", "said"), [
    (None, "warning", "the frame has no column label_known_at of instants in UTC, so nothing tells whether its labels had arrived"),
    (["x"] * SIZE, "warning", "the frame has no column label_known_at of instants in UTC"),
    (pa.array(INSTANTS, ARROW_TYPES["timestamp"]), "leak", "50 of 50 positive labels are known at the instant of their row or before it, which nobody could"),
    (pa.array([each + timedelta(days=n % 32 > 0) for n, each in enumerate(INSTANTS)], ARROW_TYPES["timestamp"]), "leak", "7 of 50 positive labels"),
    (pa.array([each + timedelta(days=n > 16) for n, each in enumerate(INSTANTS)], ARROW_TYPES["timestamp"]), "leak", "5 of 50 positive labels"),
    (pa.array([each + timedelta(days=1) for each in INSTANTS], ARROW_TYPES["timestamp"]), None, ""),
])  # fmt: skip
def test_labels_joined_without_their_arrival(
    catalog: Catalog, tmp_path: Path, column: Any, severity: str | None, said: str
) -> None:
    columns = {"label": LABELS} | ({} if column is None else {"label_known_at": column})
    made = frame(catalog, tmp_path / "f", columns)
    aimed = targets(made, None, None)
    assert aimed is not None
    found = label_arrival(made, aimed)
    assert [(each.name, each.severity) for each in found] == ([("label", severity)] if severity else [])
    assert all(said in each.says for each in found)


def test_sources_that_changed_since_stop_an_audit_before_spark_starts(
    settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    day = Partition(source=PAID.name, ds="2026-03-01", rows=5, content="1")
    ledger.record_ingest(settings, day)
    before = snapshots(settings, [(PAID.name, 1_772_500_000_000_000)])
    made = frame(catalog, tmp_path / "f", {"label": LABELS}, before)
    ledger.record_ingest(settings, Partition(source=PAID.name, ds="2026-03-01", rows=6, content="2"))
    with pytest.raises(InputError) as caught:
        audit.run(Audit(frame=made.path), settings)
    assert str(caught.value) == (
        f"The frame of {made.path}.manifest.json cannot be audited: 1 source partition(s) changed since it was made, so its values cannot be computed again.\n"
        "  source leak_payments, partition 2026-03-01: content was 1, is 2, rows was 5, is 6\n"
        "Bring those back as they were, or make a new frame from what is there now, and audit that."
    )


def test_half_of_the_sample_is_positive() -> None:
    positive = np.arange(0, 1000, 4)
    rows = sampled(1000, 100, positive, 3)
    assert len(set(rows.tolist())) == 100
    assert 50 <= (rows % 4 == 0).sum() <= 80
    assert (rows == sampled(1000, 100, positive, 3)).all()
    assert sampled(10, 100, positive[:0], 3).tolist() == list(range(10))


def test_rows_without_keys_are_compared_without_asking_spark(
    settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    made = frame(catalog, tmp_path / "f", {"card": pa.nulls(SIZE, pa.string())})
    found = future_shift(cast("SparkSession", None), settings, made, np.arange(5))
    changed = {each["feature"]: each["changed"] for each in found["features"]}
    assert changed["leak_cards__count_1d"] == 0
    # The file's statuses are not there, and a row without a key has one.
    assert {each.name for each in found["findings"]} == {"leak_cards__asof_status", "leak_live__asof_status"}


def test_a_window_cannot_reach_past_its_instant() -> None:
    with pytest.raises(InvalidDefinitionError, match=r"'-1d' is not a duration"):
        Window("3d", offset="-1d")


def test_checks_that_cannot_be_done_say_why(catalog: Catalog, tmp_path: Path) -> None:
    made = frame(catalog, tmp_path / "f", {})
    told = [each for check in audit.label_checks(made, None, Audit(frame="f")).values() for each in check["findings"]]
    says = "The frame has no column label. Name the column of its labels with --target."
    assert [(each.check, each.severity, each.says) for each in told] == [
        ("shuffled labels", "not done", says),
        ("separation", "not done", says),
    ]
    few = frame(catalog, tmp_path / "g", {"label": [1 if n < 7 else 0 for n in range(SIZE)]})
    found = audit.label_checks(few, targets(few, None, None), Audit(frame="g"))
    (finding,) = (each for each in found["separation"]["findings"] if each.check == "separation")
    assert (finding.severity, finding.says) == (
        "not done",
        "The frame has 7 positive rows of 200 with a mature label; 20 of each kind are needed to tell anything.",
    )


def test_features_that_are_null_throughout_are_learned_from_and_tell_nothing(catalog: Catalog, tmp_path: Path) -> None:
    labels = [n % 2 for n in range(SIZE)]
    known = pa.array([each + timedelta(days=1) for each in INSTANTS], ARROW_TYPES["timestamp"])
    made = frame(catalog, tmp_path / "f", {"label": labels, "label_known_at": known})
    found = audit.label_checks(made, targets(made, None, None), Audit(frame="f"))
    assert [each for check in found.values() for each in check["findings"]] == []
    assert found["shuffled labels"]["mean"] == 0.5
    assert [each["area"] for each in found["separation"]["features"]] == [None] * len(made.features)


def test_leaks_come_first() -> None:
    kinds: tuple[Severity, ...] = ("not done", "warning", "leak")
    found = [Finding(check="arrival", severity=kind, name=kind, says="x") for kind in kinds]
    assert [each["severity"] for each in as_json(found)] == ["leak", "warning", "not done"]
    assert (verdict(found), verdict(found[:2])) == ("leaks", "passes")


def test_the_terminal_names_what_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    kinds: tuple[tuple[str, Severity], ...] = (("manifest", "leak"), ("arrival", "warning"), ("separation", "not done"))
    found = [Finding(check=check, severity=kind, name=f"[{check}]", says="why") for check, kind in kinds]
    told = {"frame": "f", "rows": 7, "service": "s_v1", "findings": as_json(found)}
    audit.show(told)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "f: 7 rows for service s_v1" in lines
    assert "manifest leaks 0 the file is what its manifest says" in lines
    assert any(line.startswith("future shift passes 0 computed again") for line in lines)
    assert any(line.startswith("arrival passes 1 what a value used had arrived") for line in lines)
    assert any(line.startswith("separation not done 0 no single feature") for line in lines)
    assert lines[-4:] == [
        "leak: [manifest]: why",
        "warning: [arrival]: why",
        "not done: [separation]: why",
        "The frame leaks: [manifest].",
    ]
