"""Label files: what is refused, with which rows and remedy, and what is kept as it came."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import Entity, FeatureView, Source, count, fields
from features.errors import InputError, MissingError
from jobs.labels import Labels, stage_labels

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = pa.timestamp("us", "UTC")
ROWS = Source(
    name="label_rows", table="labels.rows", columns=(*fields("string", "card"), *fields("int64", "shop"), *fields("timestamp", "event_time"))
)  # fmt: skip
VIEWS = (
    FeatureView(
        name="label_cards", entity=Entity(name="label_card", keys=("card",)), source=ROWS, features=count("1d"), remember="2d"
    ),
    FeatureView(
        name="label_shops", entity=Entity(name="label_shop", keys=("shop",), type="int64"), source=ROWS, features=count("1d"), remember="2d"
    ),
)  # fmt: skip


def staged(path: Path) -> Labels:
    return stage_labels(str(path), VIEWS, str(path.with_name("staged.parquet")))


def parquet(folder: Path, **columns: Any) -> Path:
    given: dict[str, Any] = {"card": ["c"], "shop": [1], "event_timestamp": pa.array([NOON], AT), **columns}
    path = folder / "labels.parquet"
    pq.write_table(pa.table({name: values for name, values in given.items() if values is not None}), path)
    return path


def csv(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(labels: Labels) -> list[dict[str, Any]]:
    return list(pq.read_table(labels.path).to_pylist())


def refused(path: Path, kind: type[InputError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        staged(path)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    assert refused(path, MissingError) == f"There is no label file {path}. Name a Parquet or CSV file with --labels."


@pytest.mark.parametrize("gone", ["card", "shop", "event_timestamp"])
def test_a_missing_column(tmp_path: Path, gone: str) -> None:
    path = parquet(tmp_path, **{gone: None})
    kept = [name for name in ("card", "shop", "event_timestamp") if name != gone]
    assert refused(path, MissingError) == (
        f"The label file {path} has no column {gone}. It needs card, shop, event_timestamp, and has {', '.join(kept)}."
    )


def test_a_column_twice(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    made = pa.table(
        [pa.array(["c"]), pa.array([1]), pa.array([NOON], AT), pa.array([2])],
        names=["card", "shop", "event_timestamp", "shop"],
    )
    pq.write_table(made, path)
    assert refused(path) == f"The label file {path} has the columns shop twice. Rename one of each."
    twice = csv(tmp_path, "card,card,shop,event_timestamp\na,b,1,2026-03-02T12:00:00Z\n")
    assert refused(twice) == f"The label file {twice} has the columns card twice. Rename one of each."


@pytest.mark.parametrize("name", ["asof_row", "asof_x", "a__b"])
def test_names_that_are_ours(tmp_path: Path, name: str) -> None:
    path = parquet(tmp_path, **{name: [1]})
    assert (
        refused(path)
        == f"The label file {path} has the columns {name}; names that begin with asof_ or hold __ are Asof's. Rename them."
    )


def test_null_instants_name_their_rows(tmp_path: Path) -> None:
    instants = pa.array([NOON, None, NOON, None, None, None], AT)
    path = parquet(tmp_path, card=["c"] * 6, shop=[1] * 6, event_timestamp=instants)
    assert (
        refused(path)
        == f"{path}: event_timestamp is null in 4 row(s): 2, 4, 5 …. A row without an instant has no values; leave it out."
    )


REMEDY = (
    "Write instants with their zone, for instance 2026-01-02T10:00:00Z, or as a Parquet timestamp with a time zone."
)


@pytest.mark.parametrize(
    ("instants", "said"),
    [
        (pa.array([NOON.replace(tzinfo=None)]), f"event_timestamp has no zone. {REMEDY}"),
        (
            pa.array(["2026-03-02T12:00:00"]),
            f"event_timestamp has no zone, or is no timestamp, in 1 row(s): 1. {REMEDY}",
        ),
        (pa.array(["noon"]), f"event_timestamp has no zone, or is no timestamp, in 1 row(s): 1. {REMEDY}"),
        (pa.array([20260302]), f"event_timestamp is int64, not a timestamp. {REMEDY}"),
        (pa.nulls(1), f"event_timestamp is null, not a timestamp. {REMEDY}"),
    ],
)
def test_parquet_instants_that_are_none(tmp_path: Path, instants: pa.Array, said: str) -> None:
    path = parquet(tmp_path, event_timestamp=instants)
    assert refused(path) == f"{path}: {said}"


def test_csv_instants_without_zone(tmp_path: Path) -> None:
    path = csv(tmp_path, "card,shop,event_timestamp\nc,1,2026-03-02T12:00:00\n")
    assert refused(path) == f"{path}: event_timestamp has no zone. {REMEDY}"
    mixed = csv(tmp_path, "card,shop,event_timestamp\nc,1,2026-03-02T12:00:00Z\nc,1,2026-03-02 12:00:00\n")
    assert refused(mixed) == f"{mixed}: event_timestamp has no zone, or is no timestamp, in 1 row(s): 2. {REMEDY}"


def test_keys_of_a_wrong_type(tmp_path: Path) -> None:
    path = parquet(tmp_path, card=[1.5])
    assert refused(path) == f"{path}: key card is double, its entity has string. Write the column as string."
    path = parquet(tmp_path, shop=[True])
    assert refused(path) == f"{path}: key shop is bool, its entity has int64. Write the column as int64."
    path = parquet(tmp_path, shop=["1", "x", None], card=["c"] * 3, event_timestamp=pa.array([NOON] * 3, AT))
    assert (
        refused(path) == f"{path}: key shop is no integer in 1 row(s): 2. Correct those rows, or leave the key empty."
    )


def test_integer_keys_in_text_and_text_keys_of_digits(tmp_path: Path) -> None:
    path = parquet(tmp_path, shop=["-7", None], card=[1, None], event_timestamp=pa.array([NOON] * 2, AT))
    assert [(row["card"], row["shop"]) for row in read(staged(path))] == [("1", -7), (None, None)]
    text = csv(
        tmp_path,
        'card,shop,event_timestamp\n007,1,2026-03-02T12:00:00Z\n,,2026-03-02T12:00:00Z\n"",1,2026-03-02T12:00:00Z\nNA,1,2026-03-02T12:00:00Z\n',
    )
    assert [(row["card"], row["shop"]) for row in read(staged(text))] == [("007", 1), (None, None), ("", 1), ("NA", 1)]


def test_instants_of_other_zones_and_units_are_the_same_instants(tmp_path: Path) -> None:
    path = parquet(tmp_path, event_timestamp=pa.array([NOON], pa.timestamp("ms", "Asia/Tokyo")))
    assert read(staged(path))[0]["event_timestamp"] == NOON
    text = csv(tmp_path, "card,shop,event_timestamp\nc,1,2026-03-02T13:00:00.000001+01:00\n")
    made = staged(text)
    assert read(made)[0]["event_timestamp"] == NOON + timedelta(microseconds=1)
    assert made.latest == 1_772_452_800_000_001


def test_repeated_keys_other_columns_and_the_order_are_kept_over_batches(tmp_path: Path) -> None:
    size = 70_000  # more than one batch of a Parquet reader
    instants = pa.array([NOON - timedelta(seconds=n % 100) for n in range(size)], AT)
    path = parquet(
        tmp_path,
        card=["c"] * size,
        shop=[n % 2 for n in range(size)],
        event_timestamp=instants,
        note=list(range(size, 0, -1)),
    )
    assert len(list(pq.ParquetFile(path).iter_batches())) > 1
    made = staged(path)
    table = pq.read_table(made.path)
    assert (made.rows, made.columns) == (size, ("card", "shop", "event_timestamp", "note"))
    assert made.latest == 1_772_452_800_000_000
    assert table["asof_row"].to_pylist() == list(range(size))
    assert table["note"].to_pylist() == list(range(size, 0, -1))
    assert table.drop_columns(["asof_row"]).equals(pq.read_table(path).cast(table.drop_columns(["asof_row"]).schema))


def test_a_wrong_row_in_a_later_batch_is_told_by_its_number_in_the_file(tmp_path: Path) -> None:
    size = 70_000
    shops = [str(n) for n in range(size)]
    shops[69_000] = "x"
    path = parquet(tmp_path, card=["c"] * size, shop=shops, event_timestamp=pa.array([NOON] * size, AT))
    assert "key shop is no integer in 1 row(s): 69001." in refused(path)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    path.write_text("card,shop\n")
    assert refused(path).startswith(f"{path} is no Parquet file: ")
    assert "Give a Parquet file, or a CSV file whose name ends with .csv." in refused(path)
    empty = csv(tmp_path, "")
    assert refused(empty).startswith(f"{empty} is no CSV file that can be read: ")


def test_a_csv_that_breaks_late_is_told_as_one_that_breaks_early(tmp_path: Path) -> None:
    row = "c,1,2026-03-02T12:00:00Z\n"
    early = csv(tmp_path, f"card,shop,event_timestamp\n{row}c,1,2026-03-02T12:00:00Z,4\n")
    assert "Expected 3 columns, got 4" in refused(early)
    late = csv(tmp_path, f"card,shop,event_timestamp\n{row * 60_000}c,1,2026-03-02T12:00:00Z,4\n")
    said = refused(late)
    assert said.startswith(f"{late} is no CSV file that can be read: ")
    assert said.endswith(
        "Give one header row, as many fields in each row as it names, and values of one type in each column."
    )
    other = csv(tmp_path, f"card,shop,event_timestamp\n{row * 60_000}c,x,2026-03-02T12:00:00Z\n")
    assert refused(other).startswith(f"{other} is no CSV file that can be read: ")


def test_keys_that_are_categories_of_pandas(tmp_path: Path) -> None:
    cards, shops = pa.array(["c", "d", None]), pa.array([1, 2, 1])
    instants = pa.array([NOON] * 3, AT)
    plain = read(staged(parquet(tmp_path, card=cards, shop=shops, event_timestamp=instants)))
    categories = parquet(
        tmp_path, card=cards.dictionary_encode(), shop=shops.dictionary_encode(), event_timestamp=instants
    )
    assert read(staged(categories)) == plain
