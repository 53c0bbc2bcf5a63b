"""`asof audit` through Spark and Hive: a clean frame passes, leaky definitions and an engine that ignores known_at are caught, each by name."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog, load_catalog
from features.settings import Settings
from features.values.partition import EntityViews, finish
from jobs import audit
from jobs.arrivals import arrivals, label_arrival
from jobs.audited import opened, targets
from jobs.commands import Audit, Exit, LabelledFrame
from jobs.future_shift import future_shift, sampled
from jobs.ingest import ingest
from jobs.labelled import label_ask, labelled_frame
from tests.jobs.catalogue_of_leaks import AT_ONCE, DISPUTED, PAID, REVIEWS, STAMPED
from tests.jobs.leaky_days import at, land, raw

CATALOGUE = "tests.jobs.catalogue_of_leaks"
SMOOTHED = "leak_cards__leak_disputes_rate_smoothed_5d_offset_4d"
RATE = "leak_rates__leak_outcomes_at_once_rate_5d_offset_1h"


@pytest.fixture(scope="module")
def home(spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three weeks, ingested."""
    found = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("leaks"), "catalog": CATALOGUE})
    landing, rows = tmp_path_factory.mktemp("landing"), raw()
    for source in (PAID, DISPUTED, AT_ONCE, STAMPED, REVIEWS):
        ingest(spark, found, source, land(rows[source.name], source, landing / source.name))
    return found


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOGUE)


def made(spark: SparkSession, home: Settings, catalog: Catalog, out: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "label": "dispute", "start": at(3), "end": at(17), "as_of": at(22), "service": "clean_v1", "split": ("train_end=2026-03-07",), "out": str(out),
    }  # fmt: skip
    asked = LabelledFrame(**given | changes)
    labelled_frame(
        spark, home, catalog, label_ask(asked, catalog.label(asked.label)), service=asked.service, out=asked.out
    )
    return asked.out


@pytest.fixture(scope="module")
def clean(spark: SparkSession, home: Settings, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(spark, home, catalog, tmp_path_factory.mktemp("clean") / "frame.parquet")


def test_a_clean_frame_passes(home: Settings, clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "audit.html"
    assert audit.run(Audit(frame=clean, out=str(page), output="json"), home) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["findings"] == []
    assert found["verdict"] == "passes"
    shift = {each["feature"]: each for each in found["checks"]["future shift"]["features"]}
    assert all(each["changed"] == 0 for each in shift.values())
    # What came later would have changed much: the check looked at something.
    assert shift["leak_cards__count_3d"]["later"] > 20
    assert shift["leak_live__sum_amount_2d"]["later"] > 20
    shuffled = found["checks"]["shuffled labels"]
    assert len(shuffled["areas"]) == 20
    assert shuffled["low"] < 0.5
    assert [each["name"] for each in found["checks"]["arrival"]["outcomes"]] == [
        "leak_cards__leak_disputes_rate_5d_offset_4d", SMOOTHED, "label dispute"
    ]  # fmt: skip
    assert pq.read_table(clean)[SMOOTHED].null_count < pq.read_metadata(clean).num_rows
    assert "No leak was found." in page.read_text()


def test_leaky_definitions_are_caught_each_by_name(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = made(spark, home, catalog, tmp_path / "frame.parquet", service="leaky_v1"), tmp_path / "audit.json"
    assert audit.run(Audit(frame=out, out=str(report), rows=40), home) == Exit.LEAKS
    found = json.loads(report.read_text())
    leaks = {(each["check"], each["name"]): each["says"] for each in found["findings"] if each["severity"] == "leak"}
    assert {name for _, name in leaks} == {RATE, "leak_payments.refunded", "leak_stamped", "leak_reviewed__verdict"}
    overwritten = leaks["arrival", "leak_payments.refunded"]
    assert "so it is in the first version of" in overwritten
    assert "read by leak_refunds__count_refunded_3d." in overwritten
    assert re.match(
        r"(\d+) of \1 outcomes of 'leak_outcomes_at_once' are known with the event of 'leak_payments' that they are of, which nobody could: "
        r"they were joined without their arrival\.",
        leaks["arrival", RATE],
    )
    assert re.fullmatch(
        r"known_at \(known\) equals event_time in (\d+) of \1 rows \(read by leak_reported__count_3d\), and \1 rows landed in folders of later days: "
        r"they arrived late, and known_at does not say so\. Stamp known_at where rows are first received\.",
        leaks["arrival", "leak_stamped"],
    )
    assert leaks["separation", "leak_reviewed__verdict"].startswith("its v")
    warnings = {each["name"]: each["says"] for each in found["findings"] if each["severity"] == "warning"}
    assert set(warnings) == {"leak_outcomes_at_once", "leak_reviews"}
    assert warnings["leak_outcomes_at_once"].startswith(
        f"it has neither known_at nor lag (read by {RATE}), so its rows count from event_time on"
    )
    assert "no delay at all is likelier a stamp of the event's own clock" in warnings["leak_reviews"]
    said = capsys.readouterr().out
    assert "leak: leak_stamped: known_at (known) equals event_time in " in said
    assert "The frame leaks: " in said


def test_a_label_joined_without_arrival_is_caught(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    frame = opened(made(spark, home, catalog, tmp_path / "frame.parquet", label="naive"))
    aimed = targets(frame, None, None)
    assert aimed is not None
    found = [*arrivals(spark, home, frame)["findings"], *label_arrival(frame, aimed)]
    assert {each.name for each in found if each.severity == "leak"} == {"label naive", "label"}


def ignoring_known_at(
    group: EntityViews, **given: Any
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """A wrong engine: every row is known when it happened."""
    inner = finish(group, **given)

    def finished(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for name in ("asof_known",):
            batches = [
                batch.set_column(batch.schema.get_field_index(name), name, batch["asof_time"])
                if name in batch.schema.names
                else batch
                for batch in batches
            ]
        return inner(batches)

    return finished


def test_an_engine_that_ignores_known_at_is_caught(
    spark: SparkSession, home: Settings, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wrong in the frame and in the audit alike: only rows that are not there cannot be seen.
    monkeypatch.setattr("jobs.frame.finish", ignoring_known_at)
    monkeypatch.setattr("jobs.future_shift.finish", ignoring_known_at)
    frame = opened(made(spark, home, catalog, tmp_path / "frame.parquet"))
    found = future_shift(spark, home, frame, sampled(frame.rows, 200, np.array([], np.int64), 0))
    leaks = {each.name: each.says for each in found["findings"]}
    assert {
        "leak_cards__count_3d",
        "leak_cards__sum_amount_3d",
        "leak_live__count_2d",
        "leak_live__sum_amount_2d",
    } <= set(leaks)
    changed = {each["feature"]: each["changed"] for each in found["features"]}["leak_live__count_2d"]
    assert changed > 20
    assert leaks["leak_live__count_2d"].startswith(
        f"{changed} of 200 rows have another value once everything known after their instant is taken out of the sources: row "
    )
    # Most: the frame did not read what became known after its last row.
    as_later = re.search(
        r" (\d+) of them equal what everything known today gives\. Do not train on it", leaks["leak_live__count_2d"]
    )
    assert as_later is not None
    assert changed // 2 < int(as_later[1]) < changed
