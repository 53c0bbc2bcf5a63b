"""The as-of join over Parquet files as tasks do it, with the rows shuffled and with the asks sent, against the same join over the rows themselves."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.pit import ASKS, ROW, TIME, cut, hashes, newest
from jobs.pit_files import Files, fetched, found, narrow, winners
from jobs.pit_sent import candidates, chosen, columns, few_enough, of_units, sent

US, UTC_US = pa.timestamp("us"), pa.timestamp("us", "UTC")
NEVER = -(2**63)


def at(hour: int) -> datetime:
    return datetime(2026, 3, 1, hour, tzinfo=UTC)


def micros(*hours: int) -> list[int]:
    return [int(at(hour).timestamp()) * 1_000_000 for hour in hours]


def files(paths: list[Path], *, units: int = 1, created: str | None = None, **more: Any) -> Files:
    count = len(paths)
    edges = sorted({0, count, *(count * n // units for n in range(units))})
    return Files(**{
        "paths": tuple(map(str, paths)), "units": tuple(pairwise(edges)), "keys": (("card", pa.int64()),),
        "time": "ts", "created": created, "columns": pa.schema([("spent", pa.int64())]), "names": ("v0_0",), "first": None, "last": 2**62, **more,
    })  # fmt: skip


def join(asked: pa.Table, what: Files, *, buckets: int = 2, wanted: np.ndarray | None = None, **more: Any) -> pa.Table:
    """All tasks, one after the other."""
    batches = list(cut(asked.to_batches(), ASKS, len(what.keys), buckets, 0))
    for unit in range(len(what.units)):
        batches += narrow(what, buckets, wanted)([pa.RecordBatch.from_pydict({"id": [unit]})])
    reading = found(1, **{"ttl_us": 0, "created": what.created is not None, "known": False, **more})
    of = [[batch.filter(pa.array(np.asarray(batch["bucket"]) == n)) for batch in batches] for n in range(buckets)]
    won = [batch for each in of for batch in winners(what, reading)(each)]
    made = [
        batch
        for unit in range(len(what.units))
        for batch in fetched(what, packed=False)(
            each.filter(pa.array(np.asarray(each["bucket"]) == unit)) for each in won
        )
    ]
    kinds = pa.schema([(ROW, pa.int64()), *zip(what.names, what.columns.types, strict=True)])
    return pa.Table.from_batches(made, kinds if not made else None).sort_by(ROW)


def sending(asked: pa.Table, what: Files, **more: Any) -> pa.Table:
    """The same, where the asks are sent to the files."""
    reading = found(1, **{"ttl_us": 0, "created": what.created is not None, "known": False, **more})
    made, ids = sent(asked, len(what.keys)), [pa.RecordBatch.from_pydict({"id": [n]}) for n in range(len(what.units))]
    newest = opened(batch for each in ids for batch in candidates(what, reading, made)([each]))
    places = of_units(what, made, *chosen(newest, reading, len(asked)))
    kinds = pa.schema([(ROW, pa.int64()), *zip(what.names, what.columns.types, strict=True)])
    given = opened(batch for each in ids for batch in columns(what, places)([each]))
    return pa.concat_tables([kinds.empty_table(), *given]).sort_by(ROW)


def opened(batches: Iterable[pa.RecordBatch]) -> list[pa.Table]:
    return [pa.ipc.open_stream(data.as_buffer()).read_all() for batch in batches for data in batch["data"]]


def both(asked: pa.Table, what: Files, *, wanted: np.ndarray | None = None, **more: Any) -> pa.Table:
    made = join(asked, what, wanted=wanted, **more)
    assert sending(asked, what, **more).equals(made)
    return made


def asks(keys: list[int], instants: list[int]) -> pa.Table:
    return pa.table({"k0": pa.array(keys, pa.int64()), TIME: pa.array(instants, pa.int64()), ROW: np.arange(len(keys))})


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=20)  # fmt: skip
asked = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8)), min_size=1, max_size=8)


@settings(max_examples=30)
@given(
    held=rows, asked=asked, ttl=st.sampled_from([0, 2]), mode=st.sampled_from(["plain", "created", "known"]), few=st.booleans(), parts=st.integers(1, 3),
)  # fmt: skip
@pytest.mark.slow
def test_files_answer_as_their_rows_do(
    tmp_path_factory: pytest.TempPathFactory, held: list[tuple[int, int, int | None]], asked: list[tuple[int, int]],
    ttl: int, mode: str, *, few: bool, parts: int,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("files")
    key, time = np.array([row[0] for row in held]), np.array([row[1] for row in held])
    table = pa.table({
        "card": pa.array(key, pa.int32()), "ts": pa.array(time).cast(UTC_US), "made": pa.array([row[2] for row in held], pa.int64()).cast(US),
        "spent": np.arange(len(held)),
    })  # fmt: skip
    paths = [folder / f"{n}.parquet" for n in range(parts)]
    size = -(-len(held) // parts)
    for n, path in enumerate(paths):
        pq.write_table(table.slice(n * size, size), path, row_group_size=3)
    what = files(paths, units=parts, created=None if mode == "plain" else "made", last=max(t for _, t in asked))
    given = asks([k for k, _ in asked], [t for _, t in asked])
    wanted = np.unique(hashes([given["k0"]])) if few else None
    made = both(given, what, wanted=wanted, ttl_us=ttl, known=mode == "known")
    created = None if mode == "plain" else np.array([NEVER if row[2] is None else row[2] for row in held])
    best = newest((key, time, created), (given["k0"].to_numpy(), given[TIME].to_numpy()), ttl_us=ttl, known=mode == "known")  # fmt: skip
    assert dict(zip(made[ROW].to_pylist(), made["v0_0"].to_pylist(), strict=True)) == {
        n: place for n, place in enumerate(best.tolist()) if place >= 0
    }


@pytest.mark.parametrize(
    "column",
    [
        pa.array([at(1), at(2)], UTC_US),
        pa.array([at(1), at(2)], pa.timestamp("ms", "UTC")),
        pa.array([at(1).replace(tzinfo=None), at(2).replace(tzinfo=None)], US),
        pa.array([at(1), at(2)], pa.timestamp("us", "Asia/Shanghai")),
    ],
    ids=["utc", "milliseconds", "naive", "another zone"],
)
@pytest.mark.parametrize("int96", [True, False])
def test_instants_are_microseconds_utc_however_a_file_writes_them(
    tmp_path: Path, column: pa.Array, *, int96: bool
) -> None:
    table = pa.table({"card": [1, 1], "ts": column, "spent": [10, 20], "moved": column})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=int96, row_group_size=1)
    what = files(
        [tmp_path / "a.parquet"], columns=pa.schema([("moved", UTC_US)]), first=micros(0)[0], last=micros(3)[0]
    )
    made = both(asks([1, 1, 1], micros(0, 1, 3)), what)
    assert made.to_pydict() == {ROW: [1, 2], "v0_0": [at(1), at(2)]}


def test_row_groups_outside_the_span_and_without_an_answer_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table(
        {"card": [1, 1, 1, 2], "ts": pa.array([at(1), at(2), at(3), at(3)], UTC_US), "spent": [1, 2, 3, 4]}
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    read = list[tuple[int, list[str]]]()
    own = pq.ParquetFile.read_row_group

    def told(self: pq.ParquetFile, group: int, columns: list[str], **more: Any) -> pa.Table:
        read.append((group, columns))
        return own(self, group, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", told)
    for way in (join, sending):
        read.clear()
        made = way(asks([1], micros(3)), files([tmp_path / "a.parquet"], first=micros(2)[0], last=micros(3)[0]))
        assert made["v0_0"].to_pylist() == [3]
        assert read == [(1, ["card", "ts"]), (2, ["card", "ts"]), (3, ["card", "ts"]), (2, ["spent"])]


def test_a_later_column_a_null_key_and_a_name_in_capitals(tmp_path: Path) -> None:
    pq.write_table(pa.table({"CARD": [1, None], "ts": pa.array([at(1), at(1)], UTC_US)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"card": [2], "ts": pa.array([at(1)], UTC_US), "spent": pa.array([7], pa.int32())}), tmp_path / "b.parquet")  # fmt: skip
    pq.write_table(pa.table({"card": pa.array([], pa.int64()), "ts": pa.array([], UTC_US)}), tmp_path / "c.parquet")
    what = files([tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")])
    assert both(asks([1, 2], micros(2, 2)), what).to_pydict() == {ROW: [0, 1], "v0_0": [None, 7]}


def test_integers_meet_text_as_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"card": [1, 11], "shop": ["12", "2"], "ts": pa.array([at(1)] * 2, UTC_US), "spent": [10, 20]}), tmp_path / "a.parquet")  # fmt: skip
    what = files([tmp_path / "a.parquet"], keys=(("card", pa.string()), ("shop", pa.string())))
    given = pa.table({"k0": ["1", "11", "1"], "k1": ["12", "2", "2"], TIME: micros(2, 2, 2), ROW: [0, 1, 2]})
    assert both(given, what).to_pydict() == {ROW: [0, 1], "v0_0": [10, 20]}


@settings(max_examples=20)
@given(
    held=st.lists(st.tuples(*[st.sampled_from("aAbc")] * 3, st.integers(0, 5)), min_size=1, max_size=15),
    asked=st.lists(st.tuples(*[st.sampled_from("aAbd")] * 3, st.integers(0, 6)), min_size=1, max_size=8),
)
@pytest.mark.slow
def test_three_keys_meet_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, held: list[tuple[str, str, str, int]], asked: list[tuple[str, str, str, int]]
) -> None:  # fmt: skip
    path, names = tmp_path_factory.mktemp("files") / "a.parquet", ("card", "shop", "town")
    columns = dict(zip((*names, "ts"), zip(*held, strict=True), strict=True))
    table = pa.table({**columns, "ts": pa.array(columns["ts"]).cast(UTC_US), "spent": np.arange(len(held))})
    pq.write_table(table, path)
    what = files([path], keys=tuple((name, pa.string()) for name in names))
    given = pa.table({f"k{n}": [each[n] for each in asked] for n in range(3)} | {TIME: [each[3] for each in asked], ROW: np.arange(len(asked))})  # fmt: skip
    made = both(given, what)
    expected = {
        n: max(((row[3], place) for place, row in enumerate(held) if row[:3] == each[:3] and row[3] <= each[3]), default=(0, -1))[1]
        for n, each in enumerate(asked)
    }  # fmt: skip
    assert dict(zip(made[ROW].to_pylist(), made["v0_0"].to_pylist(), strict=True)) == {
        n: at for n, at in expected.items() if at >= 0
    }


def test_what_is_sent_is_bounded_by_asks_and_tasks() -> None:
    one, many = files([Path("a")]), files([Path(str(n)) for n in range(100)], units=100)
    assert few_enough(1_000_000, one)
    assert not few_enough(1_000_001, one)
    assert few_enough(160_000, many)
    assert not few_enough(160_001, many)
