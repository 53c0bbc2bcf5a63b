"""The file is Feast's own, cell by cell; a load is all or nothing; a reader sees one generation."""

import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from features import Catalog, FeatureView
from features.definitions.compiled import hash_of
from features.errors import BusyError, InputError
from features.feast.registry import apply
from features.settings import load
from features.store.heads import Layout
from features.store.keys import entity_keys, sqlite_table
from features.store.reads import Question
from features.store.sqlite_store import SqliteStore
from tests.features.store.hostile_rows import CUT, HOUR, dump, feast_view, feast_writes, hostile, make_view, unpacked

# Feast warns of its own Spark source at each read of a registry.
pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")

NOW = CUT + 30 * HOUR
DAY = 24 * HOUR
KILLS = int(os.environ.get("ASOF_TEST_KILLS", "8"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "online.db")
    yield made
    made.close()


def simple(keys: range, value: int) -> pa.RecordBatch:
    names = [f"k{number:06}" for number in keys]
    return pa.RecordBatch.from_pydict(
        {"key": names, "i": pa.array([value] * len(names), pa.int64()), "asof_status": ["ok"] * len(names)}
    )


SIMPLE = make_view("simple", keys=("key",), features="i")


def test_without_feasts_layout_its_table_is_empty_and_lookups_read_the_same(store: SqliteStore) -> None:
    bare = replace(SIMPLE, feast_layout=False)
    question = Question(view="simple", keys=tuple(entity_keys({"key": pa.array(["k000001", "k000006"])}, "string")))
    found = []
    for number, view in enumerate((SIMPLE, bare, SIMPLE)):
        layout = Layout.of(view, CUT - (2 - number) * DAY)
        loaded = store.load(layout, [simple(range(number, 5 + number), number)], NOW)
        assert (loaded.written, loaded.removed) == (5, min(number, 1))
        cells = store._db.execute('SELECT count(*) FROM "asof_simple"').fetchone()[0]
        assert cells == (2 * 5 if view.feast_layout else 0)
        (answer,) = store.ask([question])
        found.append(list(unpacked(view, answer).columns["i"]))
    assert found == [[0], [1], [2]]


@pytest.mark.slow
def test_the_file_is_what_feasts_own_writer_makes(view: FeatureView, store: SqliteStore, tmp_path: Path) -> None:
    batch, layout = hostile(view), Layout.of(view, CUT)
    loaded = store.load(layout, [batch], NOW)
    assert (loaded.written, loaded.removed, loaded.sentence) == (8, 0, None)
    feast_writes(tmp_path / "theirs", view, batch, layout.valid_from)
    ours, theirs = (
        dump(tmp_path / "online.db", sqlite_table(view.name)),
        dump(tmp_path / "theirs" / "online.db", sqlite_table(view.name)),
    )
    assert len(ours) == 8 * 6
    assert ours == theirs
    schema = "SELECT name, type, sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('table', 'index') ORDER BY name"
    schemas = [
        [(name, kind, " ".join((sql or "").split()).replace("IF NOT EXISTS ", "")) for name, kind, sql in
         sqlite3.connect(path).execute(schema, (sqlite_table(view.name),))]
        for path in (tmp_path / "online.db", tmp_path / "theirs" / "online.db")
    ]  # fmt: skip
    assert schemas[0] == schemas[1]


def test_values_come_back_in_their_types(view: FeatureView, store: SqliteStore) -> None:
    batch = hostile(view)
    store.load(Layout.of(view, CUT), [batch], NOW)
    keys = entity_keys({name: batch.column(name) for name in view.keys}, view.entity.type)
    (answer,) = store.ask([Question(view=view.name, keys=tuple(keys))])
    found = unpacked(view, answer, *keys)
    for name, kind in view.types.items():
        column = batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)
        assert list(found.columns[name]) == column.to_pylist(), name


def test_a_later_cut_drops_the_keys_it_lacks_and_counts_them(store: SqliteStore) -> None:
    store.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(100), 1)], NOW)
    loaded = store.load(Layout.of(SIMPLE, CUT), [simple(range(50, 80), 2), simple(range(80, 130), 3)], NOW)
    assert (loaded.written, loaded.removed, loaded.head.generation, loaded.head.rows) == (80, 50, 2, 80)
    assert store.head("simple") == loaded.head
    assert (loaded.head.cut, loaded.head.valid_from, loaded.head.definition) == (CUT, CUT + HOUR, hash_of(SIMPLE))


def test_the_same_and_an_older_cut_change_nothing_and_say_so(store: SqliteStore) -> None:
    store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 1)], NOW)
    again = store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 9)], NOW)
    older = store.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(9), 9)], NOW)
    assert again.sentence == "simple: cut 2026-01-01T00-00Z is already in the online store (5 keys)."
    assert (
        older.sentence
        == "simple: the online store already holds the newer cut 2026-01-01T00-00Z; cut 2025-12-31T00-00Z stays out."
    )
    assert again.head == older.head == store.head("simple")
    assert older.head.generation == 1


def test_the_same_cut_by_another_definition_is_a_new_generation(store: SqliteStore) -> None:
    store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 1)], NOW)
    wider = make_view("simple", keys=("key",), features="i s")
    batch = simple(range(3), 2).append_column("s", pa.array(["a", "b", None]))
    loaded = store.load(Layout.of(wider, CUT), [batch], NOW)
    assert (loaded.head.generation, loaded.head.definition, loaded.written, loaded.removed) == (2, hash_of(wider), 3, 2)


def test_a_cut_before_its_valid_from_is_refused(store: SqliteStore) -> None:
    with pytest.raises(
        BusyError,
        match=r"Cut 2026-01-01T00-00Z of view 'simple' is valid from 2026-01-01T01:00:00\+00:00 on; now is 2026-01-01T00:59",
    ):
        store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 1)], CUT + HOUR - 1)
    assert store.head("simple") is None
    assert store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 1)], CUT + HOUR).written == 5


def test_a_key_twice_is_refused_and_the_old_values_stay(store: SqliteStore) -> None:
    store.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(5), 1)], NOW)
    before = list(store._db.iterdump())
    with pytest.raises(InputError, match=r"Cut 2026-01-01T00-00Z of view 'simple' holds a key twice \(key\)"):
        store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 2), simple(range(4, 6), 2)], NOW)
    assert list(store._db.iterdump()) == before


def test_a_full_disk_is_told_and_the_old_values_stay(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "online.db", max_bytes=300_000)
    store.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(500), 1)], NOW)
    before = list(store._db.iterdump())
    with pytest.raises(
        BusyError, match=r"online\.db cannot be loaded: database or disk is full\. The values it held stay\. Make room"
    ):
        store.load(Layout.of(SIMPLE, CUT), [simple(range(20_000), 2)], NOW)
    assert list(store._db.iterdump()) == before
    store.close()
    roomy = SqliteStore(tmp_path / "online.db")
    assert roomy.load(Layout.of(SIMPLE, CUT), [simple(range(20_000), 2)], NOW).written == 20_000
    roomy.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(BusyError, match=r"online\.db cannot be opened: file is not a database"):
        SqliteStore(tmp_path / "online.db")


def test_a_reader_of_a_missing_file_sees_an_empty_store_and_makes_none(tmp_path: Path) -> None:
    reader = SqliteStore(tmp_path / "online.db", writable=False)
    (answer,) = reader.ask([Question(view="simple", keys=(b"x",))])
    assert (answer.head, answer.rows) == (None, {})
    assert not (tmp_path / "online.db").exists()


def test_forget_drops_head_and_rows(store: SqliteStore) -> None:
    store.load(Layout.of(SIMPLE, CUT), [simple(range(5), 1)], NOW)
    store.forget("simple")
    assert store.head("simple") is None
    assert store._db.execute("SELECT name FROM sqlite_master WHERE name = 'asof_simple'").fetchone() is None


@pytest.mark.slow
def test_readers_during_loads_see_one_generation_whole(tmp_path: Path) -> None:
    """Value and head move together, and no key is missing in between."""
    writer = SqliteStore(tmp_path / "online.db")
    writer.load(Layout.of(SIMPLE, CUT), [simple(range(3000), 0)], NOW)
    keys = tuple(entity_keys({"key": pa.array([f"k{number:06}" for number in range(0, 3000, 100)])}, "string"))
    stop, seen, wrong = threading.Event(), set[int](), list[object]()

    def read() -> None:
        reader = SqliteStore(tmp_path / "online.db", writable=False)
        while not stop.is_set():
            (answer,) = reader.ask([Question(view="simple", keys=keys)])
            values = set(unpacked(SIMPLE, answer).columns["i"])
            assert answer.head is not None
            if len(answer.rows) != len(keys) or values != {(answer.head.cut - CUT) // HOUR}:
                wrong.append((len(answer.rows), values, answer.head))
            seen.update(value for value in values if isinstance(value, int))
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for hour in range(1, 9):
        writer.load(Layout.of(SIMPLE, CUT + hour * HOUR), [simple(range(3000), hour)], NOW)
    stop.set()
    for reader in readers:
        reader.join()
    writer.close()
    assert not wrong
    assert len(seen) > 2


LOADER = """
import pickle, sys
from pathlib import Path
from features.store.sqlite_store import SqliteStore
layout, batches, now = pickle.loads(Path(sys.argv[2]).read_bytes())
store = SqliteStore(Path(sys.argv[1]))
print("begin", flush=True)
store.load(layout, batches, now)
print("end", flush=True)
"""


@pytest.mark.slow
def test_a_load_killed_at_any_point_leaves_the_old_and_a_rerun_gives_the_same_store(tmp_path: Path) -> None:
    clean = SqliteStore(tmp_path / "clean.db")
    clean.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(500), 1)], NOW)
    old = list(clean._db.iterdump())
    clean.load(Layout.of(SIMPLE, CUT), [simple(range(20_000), 2)], NOW)
    new = list(clean._db.iterdump())
    task = tmp_path / "task"
    task.write_bytes(
        pickle.dumps(
            (Layout.of(SIMPLE, CUT), [simple(range(part * 2000, part * 2000 + 2000), 2) for part in range(10)], NOW)
        )
    )
    chance, killed = random.Random(7), 0  # noqa: S311 - not a secret
    for attempt in range(KILLS):
        path = tmp_path / f"killed{attempt}.db"
        store = SqliteStore(path)
        store.load(Layout.of(SIMPLE, CUT - DAY), [simple(range(500), 1)], NOW)
        store.close()
        process = subprocess.Popen(
            [sys.executable, "-c", LOADER, str(path), str(task)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        time.sleep(chance.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        ended = "end" in process.communicate()[0]
        killed += not ended
        after = SqliteStore(path)
        assert list(after._db.iterdump()) in ((new,) if ended else (old, new))
        after.load(Layout.of(SIMPLE, CUT), [simple(range(20_000), 2)], NOW)
        assert sorted(after._db.iterdump()) == sorted(new)
        after.close()
    clean.close()
    assert killed


@pytest.mark.slow
def test_a_stock_feast_client_reads_the_exact_values(view: FeatureView, tmp_path: Path) -> None:
    settings, batch = load(home=tmp_path), hostile(view)
    apply(Catalog(views=(view,)), settings)
    store = SqliteStore(settings.online_db)
    store.load(Layout.of(view, CUT), [batch], NOW)
    found = feast_view(settings.feast, view, batch)
    for name, kind in view.types.items():
        column = batch.column(name).cast(pa.int64()) if kind == "timestamp" else batch.column(name)
        assert found[f"{view.name}__{name}"] == column.to_pylist(), name
    assert found[f"{view.name}__asof_status"] == ["ok"] * 7 + ["overflow"]
    store.close()


def test_a_file_that_is_no_database_says_how_to_make_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(
        BusyError, match=r"cannot be opened: file is not a database\. Move the file away and run `asof materialize`"
    ):
        SqliteStore(tmp_path / "online.db")
