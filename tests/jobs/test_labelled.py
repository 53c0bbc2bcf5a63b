"""Frames of a label's events through Spark and Hive: rows, labels and weights by literal days; made again byte by byte, or what has changed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features import Entity, FeatureService, fields
from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import micros
from features.errors import BusyError, InputError, MissingError, ParityError
from features.settings import Settings
from jobs import censoring, labelled, ledger
from jobs.commands import Censoring, LabelledFrame, Rebuild
from jobs.frame import Asked, frame, joined, views_for
from jobs.ingest import ingest
from jobs.labelled import LabelAsk, label_ask, labelled_frame
from jobs.labels import stage_labels
from jobs.manifest import manifest_path, sha256, snapshots
from jobs.outcomes import Span
from jobs.rebuild import rebuild, run
from tests.jobs.catalogue_of_labels import BOUGHT, DISPUTED, REPORTS, VIEW
from tests.jobs.labelled_days import HELD, PAID, TOLD, at, land

CATALOGUE = "tests.jobs.catalogue_of_labels"


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Six days, ingested."""
    found = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("labelled"), "catalog": CATALOGUE})
    landing = tmp_path_factory.mktemp("landing")
    for source, rows in ((BOUGHT, PAID), (DISPUTED, HELD), (REPORTS, TOLD)):
        ingest(spark, found, source, land(rows, source, landing / source.name))
    return found


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOGUE)


def command(out: Path, **changes: Any) -> LabelledFrame:
    given: dict[str, Any] = {
        "label": "chargeback", "start": at(2), "end": at(6), "as_of": at(7), "service": "labelled_v1", "out": str(out / "frame.parquet"),
    }  # fmt: skip
    return LabelledFrame(**given | changes)


def made(spark: SparkSession, home: Settings, catalog: Catalog, asked: LabelledFrame) -> Mapping[str, Any]:
    ask = label_ask(asked, catalog.label(asked.label))
    return labelled_frame(spark, home, catalog, ask, service=asked.service, out=asked.out)


def manifest(asked: LabelledFrame) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(manifest_path(asked.out)).read_text())
    return found


def test_rows_labels_weights_and_features(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    asked = command(tmp_path)
    told = made(spark, home, catalog, asked)
    rows = pq.read_table(asked.out).to_pylist()
    assert [(row["id"], row["card"], row["label"], row["label_status"], row["label_known_at"], row["asof_weight"]) for row in rows] == [
        ("a", "c", 1, "positive", at(3, 10), 1),
        ("b", None, 0, "negative", at(4, 12), 1),
        ("blocked", "c", None, "unobserved", None, 1),
        ("explored", "c", 0, "negative", at(4, 12), 4),
        ("late", "k", 0, "negative", at(5, 12), 1),
        ("open", "c", None, "pending", None, 1),
    ]  # fmt: skip
    # Daily views: at noon the cut of midnight is served.
    assert [(row["labelled_cards__count_3d"], row["labelled_cards__asof_status"]) for row in rows[:2]] == [
        (1, "ok"),
        (None, "no_key"),
    ]
    assert rows[5]["labelled_cards__count_3d"] == 4  # `gone` counts: what takes it back was not known before the cut
    assert told == {
        "rows": 6, "seen": {"positive": 1, "negative": 3, "pending": 1, "unobserved": 1}, "unknown": {"count": 1, "shown": ["nobody"]},
    }  # fmt: skip


def test_events_and_labels_are_as_known_then(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    asked = command(tmp_path, end=at(4), as_of=at(4))
    made(spark, home, catalog, asked)
    rows = {row["id"]: row["label_status"] for row in pq.read_table(asked.out).to_pylist()}
    assert rows == {
        "a": "positive",
        "b": "pending",
        "blocked": "unobserved",
        "explored": "pending",
        "late": "pending",
        "gone": "pending",
    }


def test_request_fields_are_what_was_asked_with(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    asked = command(tmp_path, start=at(5), service="labelled_checkout_v1")
    made(spark, home, catalog, asked)
    (row,) = pq.read_table(asked.out).to_pylist()
    names = "id", "amount", "labelled_asked__requested_amount"
    assert [row[name] for name in names] == ["open", 100, 100]  # 700 is known since, and no lookup was asked with it


def test_outcomes_that_are_bound_to_no_parent(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    asked = command(tmp_path, label="reported", sample=("keep=positive,negative",))
    told = made(spark, home, catalog, asked)
    rows = {row["id"]: row["label"] for row in pq.read_table(asked.out).to_pylist()}
    assert rows == {"a": 1, "b": 0, "blocked": 0, "explored": 0, "late": 0, "open": 0}
    assert told["unknown"] == {"count": 1, "shown": ["ghost"]}


def test_a_sampled_split_frame_is_made_again_byte_by_byte(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = command(
        tmp_path, sample=("negatives=0.9", "cap:card=3", "seed=1"), split=("train_end=2026-03-03",), label="reported"
    )  # fmt: skip
    made(spark, home, catalog, asked)
    told = manifest(asked)
    table = pq.read_table(asked.out)
    assert told["frame"]["rows"] == len(table)
    assert told["frame"]["sha256"] == sha256(asked.out)
    assert set(told["sources"]) == {BOUGHT.name, REPORTS.name}
    assert sum(told["asks"]["parts"].values()) == len(table) == sum(told["asks"]["rows"].values())
    monkeypatch.setattr("jobs.outcomes._AT_ONCE", 2)  # many workers, and the same bytes
    again = rebuild(spark, home, manifest_path(asked.out), out=str(tmp_path / "again" / "frame.parquet"))
    assert again == len(table)
    assert (tmp_path / "again" / "frame.parquet").read_bytes() == Path(asked.out).read_bytes()
    beside = sorted(path.name for path in (tmp_path / "again").iterdir())
    assert beside == ["frame.parquet", "frame.parquet.manifest.json"]
    assert json.loads((tmp_path / "again" / beside[1]).read_text()) == told
    # Whatever the catalogue says today, the manifest's definitions are taken; a person is told.
    assert run(Rebuild(manifest=manifest_path(asked.out), out=str(tmp_path / "b.parquet")), home) == 0


def test_a_frame_of_a_label_file_has_a_manifest_too(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "frame.parquet"
    labels.write_text("card,event_timestamp\nc,2026-03-04T12:00:00Z\n")
    frame(spark, home, catalog, labels=str(labels), service="labelled_v1", out=str(out))
    beside, again = manifest_path(out), str(tmp_path / "again.parquet")
    assert rebuild(spark, home, beside, out=again) == 1
    assert Path(again).read_bytes() == out.read_bytes()
    kept = json.loads(Path(beside).read_text())
    other = tmp_path / "changed.json"
    other.write_text(json.dumps({**kept, "frame": {**kept["frame"], "sha256": "0"}}))
    with pytest.raises(ParityError) as unequal:
        rebuild(spark, home, str(other), out=str(tmp_path / "other.parquet"))
    assert str(unequal.value) == (
        f"The frame of {other} made again has other bytes, though no input changed: its features differ (sha256 0 then, {sha256(out)} now); "
        "the environment is the same, so this is a fault of Asof: keep the manifest and report it. Nothing was written."
    )
    assert list(tmp_path.glob("*other*")) == []
    moved = labels.rename(tmp_path / "moved.csv")
    with pytest.raises(InputError) as caught:
        rebuild(spark, home, beside, out=again)
    assert (
        f"1 input(s) changed since.\n  label file {labels}: is not there; if it moved, say where with --labels\n"
        in str(caught.value)
    )
    assert rebuild(spark, home, beside, out=again, labels=str(moved)) == 1
    moved.write_text("card,event_timestamp\nk,2026-03-04T12:00:00Z\n")
    with pytest.raises(InputError, match=rf"label file {moved}: sha256 was \w+, is \w+"):
        rebuild(spark, home, beside, out=again, labels=str(moved))


def test_a_source_that_changed_is_named_with_its_partition(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    asked = command(tmp_path)
    made(spark, home, catalog, asked)
    beside, again = manifest_path(asked.out), str(tmp_path / "again.parquet")
    record = ledger.partition(home, DISPUTED.name, "2026-03-03")
    assert record is not None
    ledger.hold(home, record, at=1, reason="a test holds it")
    try:
        with pytest.raises(InputError) as caught:
            rebuild(spark, home, beside, out=again)
        assert str(caught.value) == (
            f"The frame of {beside} cannot be made again: 1 input(s) changed since.\n  source labelled_disputes, partition 2026-03-03: held was None, is True\n"
            "Bring those back as they were, or make a new frame from what is there now."
        )
        assert not Path(again).exists()
    finally:
        ledger.record_ingest(home, record)
    # The very rows again: another ingest, and no other content.
    last = ledger.partition(home, DISPUTED.name, "2026-03-06")
    assert last is not None
    ingest(spark, home, DISPUTED, land(HELD, DISPUTED, tmp_path / "again"), only=date(2026, 3, 6))
    anew = ledger.partition(home, DISPUTED.name, "2026-03-06")
    assert anew is not None
    assert (anew.content, anew.rows) == (last.content, 1)
    assert anew.ingested_at > last.ingested_at
    assert rebuild(spark, home, beside, out=again) == 6
    # Other rows: other content.
    assert last.content not in {None, "0", record.content}
    ledger.record_ingest(home, replace(anew, content=record.content, rows=2))
    try:
        with pytest.raises(InputError) as caught:
            rebuild(spark, home, beside, out=again)
        assert (
            f"source labelled_disputes, partition 2026-03-06: content was {last.content}, is {record.content}, rows was 1, is 2\n"
            in str(caught.value)
        )
    finally:
        ledger.record_ingest(home, anew)


def test_a_source_that_changes_while_a_frame_is_made(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "frame.parquet"
    labels.write_text("card,event_timestamp\nc,2026-03-04T12:00:00Z\n")
    staged = stage_labels(str(labels), views_for(catalog, "labelled_v1"), str(tmp_path / "staged.parquet"))
    read = snapshots(home, [(DISPUTED.name, micros(at(7)))])
    record = ledger.partition(home, DISPUTED.name, "2026-03-03")
    assert record is not None
    ledger.hold(home, record, at=1, reason="a test holds it")
    try:
        with pytest.raises(BusyError) as caught:
            joined(spark, home, catalog, Asked(staged=staged, service="labelled_v1", asks={}, sources=read), str(out))
    finally:
        ledger.record_ingest(home, record)
    assert str(caught.value) == (
        "The sources changed while the frame was made: source labelled_disputes, partition 2026-03-03: held was None, is True. "
        "Nothing was kept; run the same command again."
    )
    assert not list(tmp_path.glob("frame*"))


def test_outcomes_that_arrived_before_their_events(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        made(spark, home, catalog, command(tmp_path, label="hoax"))
    assert str(caught.value) == (
        "Label 'hoax': 1 outcome(s) of 'labelled_reports' arrived before their event happened: r9 at 2026-03-04T01:00:00+00:00, of event open at "
        "2026-03-05T12:00:00+00:00. One of the two is wrong: correct or void it in its source, and ingest it again."
    )
    assert list(tmp_path.iterdir()) == []


def test_the_censoring_report_counts_each_day(spark: SparkSession, home: Settings, catalog: Catalog) -> None:
    span = Span(start=micros(at(2)), end=micros(at(6)), as_of=micros(at(7)))
    found = censoring.censoring(spark, home, catalog.label("chargeback"), span)
    assert found["days"] == [
        {"day": "2026-03-02", "events": 4, "positive": 1, "negative": 2, "pending": 0, "unobserved": 1, "share_pending": 0},
        {"day": "2026-03-03", "events": 1, "positive": 0, "negative": 1, "pending": 0, "unobserved": 0, "share_pending": 0},
        {"day": "2026-03-05", "events": 1, "positive": 0, "negative": 0, "pending": 1, "unobserved": 0, "share_pending": 1},
    ]  # fmt: skip
    # `a` was disputed 22 hours after it.
    assert found["lag"] == {"reach_days": 2, "positives": 1, "shares": [0, 1, 1]}
    assert found["unknown"] == {"count": 1, "shown": ["nobody"]}


@pytest.mark.parametrize("name", ["report.html", "report.json", None])
def test_the_censoring_report_is_a_page_json_or_a_table(
    home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    out = None if name is None else str(tmp_path / name)
    assert censoring.run(Censoring(label="chargeback", start=at(2), end=at(6), as_of=at(7), out=out), home) == 0
    said = capsys.readouterr().out
    assert (
        "Events: 1 positive, 3 negative, 1 pending, 1 unobserved. Outcomes name 1 event(s) that are not known, and count for nothing: nobody."
        in said
    )
    if out is None:
        assert "chargeback as of 2026-03-07T00:00:00+00:00, horizon 2d" in said
        assert "Of positives known within 2 d: 100.0% within 1 d; learned from 1." in said
    elif out.endswith(".json"):
        assert json.loads(Path(out).read_text())["horizon"] == "2d"
    else:
        assert (
            "<td>2026-03-05</td><td>1</td><td>0</td><td>0</td><td>1</td><td>0</td><td>100.00%</td>"
            in Path(out).read_text()
        )


@pytest.mark.parametrize(("changes", "kind", "said"), [
    ({"start": at(6), "end": at(7)}, InputError, "Source 'labelled_payments' has no events from 2026-03-06T00:00:00+00:00 on, before 2026-03-07T00:00:00+00:00, known at 2026-03-07"),
    ({"start": datetime(2025, 1, 1, tzinfo=UTC), "end": datetime(2025, 1, 2, tzinfo=UTC), "as_of": datetime(2025, 2, 1, tzinfo=UTC)}, MissingError, "Source 'labelled_payments' has no partition before 2025-02-01. Load it: `asof ingest"),
    ({"as_of": at(12)}, MissingError, "5 partition(s) of labelled.payments before 2026-03-12 are missing: 2026-03-07"),
    ({"sample": ("keep=unobserved", "rate:id:blocked=0.000001")}, InputError, "--sample leaves none of the 6 events of 'labelled_payments' from 2026-03-02T00:00:00+00:00 on, before 2026-03-06T00:00:00+00:00 (1 positive, 3 negative, 1 pending, 1 unobserved)."),
    ({"split": ("train_end=2026-03-06",)}, InputError, "The split leaves no rows with a mature label for test: of 4 such events between"),
])  # fmt: skip
def test_a_frame_that_cannot_be(
    spark: SparkSession,
    home: Settings,
    catalog: Catalog,
    tmp_path: Path,
    changes: dict[str, Any],
    kind: type[InputError],
    said: str,
) -> None:
    with pytest.raises(kind) as caught:
        made(spark, home, catalog, command(tmp_path, **changes))
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert not any((home.home / "frames").iterdir())


@pytest.mark.parametrize(("changes", "said"), [
    ({"label": "fraud"}, "There is no label 'fraud'. Known: chargeback, hoax, reported."),
    ({"service": "nope"}, "There is no service 'nope'. Known: labelled_checkout_v1, labelled_v1."),
    ({"sample": ("rate:channel:web=0.5",)}, "has no column channel; --sample names it. It has amount, card, event_time, id"),
    ({"split": ("entity=device",)}, "has no column device; --split names it."),
])  # fmt: skip
def test_what_is_missing_is_said_before_spark_starts(
    settings: Settings, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(MissingError) as caught:
        labelled.run(command(tmp_path, **changes), settings.model_copy(update={"catalog": CATALOGUE}))
    assert said in str(caught.value)


def test_keys_that_the_events_lack_and_names_that_are_a_frame_s_own(catalog: Catalog) -> None:
    label = catalog.label("chargeback")
    device = replace(
        VIEW,
        name="devices",
        entity=Entity(name="device", keys=("card", "device")),
        source=replace(BOUGHT, columns=(*BOUGHT.columns, *fields("string", "device"))),
    )
    ask = LabelAsk(label=label, span=Span(start=0, end=1, as_of=1))
    service = FeatureService(name="by_device", views=(device,))
    with pytest.raises(MissingError) as missing:
        labelled.wanted_columns(ask, Catalog(views=(device,)), service)
    assert "has no column device; view 'devices' of service 'by_device' has it as a key. It has amount, card" in str(
        missing.value
    )
    named = replace(BOUGHT, columns=(*BOUGHT.columns, *fields("string", "label")))
    by_label = replace(VIEW, name="by_label", entity=Entity(name="label", keys=("label",)), source=named)
    service = FeatureService(name="by_label", views=(by_label,))
    with pytest.raises(InputError) as taken:
        labelled.wanted_columns(replace(ask, label=replace(label, events=named)), Catalog(views=(by_label,)), service)
    assert str(taken.value).startswith(
        "The columns label of source 'labelled_payments' have names of a frame's own. Give them other names"
    )


def test_keys_are_read_where_the_source_says(catalog: Catalog) -> None:
    payers = replace(BOUGHT, keys=(("card", ("shop",)),))
    ask = LabelAsk(label=replace(catalog.label("chargeback"), events=payers), span=Span(start=0, end=1, as_of=1))
    assert labelled.wanted_columns(ask, catalog, catalog.service("labelled_v1")) == {"id": "id", "card": "shop"}
