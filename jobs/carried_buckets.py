"""What a Spark task does with one bucket of keys at a cut: each view's values, state and tiles, read and written as files."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.compiled import compile_definition, load_definition
from features.definitions.views import FeatureView
from features.values.carrying import Carried, carry, edges, start, tile_rows
from features.values.tiles import tiles
from jobs.bucket_files import read_bucket, read_tiles, write_bucket, write_tiles
from jobs.exchange import Exchange, Shuffled, bucket_rows, bytes_read
from jobs.source_files import entity_schema
from jobs.workers import settle

__all__ = ["NONE", "TOLD", "Part", "bucket_task"]

NONE = ""
"""In place of a file of keys: there are none."""

TOLD = "view int, what string, day string, rows bigint, bytes bigint"
_TOLD_TYPES = pa.schema([
    ("view", pa.int32()), ("what", pa.string()), ("day", pa.string()), ("rows", pa.int64()), ("bytes", pa.int64()),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One view's share of what a task does with a bucket."""

    number: int
    location: str
    state: str | None
    """The folder of the state before; None: it starts from all rows."""

    build: str | None = None
    """Where tiles of the cut are written; None where they are there, in `own`."""

    own: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    suffix: str = ""
    only: str | None = None
    """A file of keys: the others are done already."""

    replaced: str | None = None
    """A file of keys of whose tiles some are replaced: what the cut says of them is built from all their rows, in `build`."""


def bucket_task(
    what: Exchange, files: Shuffled, parts: Sequence[Part], cut: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of buckets: each view's values and state, written; what is told is how much."""
    compiled, schema = json.dumps(compile_definition(what.group.views)), entity_schema(what.group, what.shape)
    told, buckets, folder = files.files, what.buckets, what.folder

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle()
        views = tuple(load_definition(item, FeatureView) for item in json.loads(compiled))
        for bucket in (number for batch in batches for number in batch["id"].to_pylist()):
            before = bytes_read()
            rows = bucket_rows(told, bucket, schema)
            for part in parts:
                here = _Bucket(views[part.number], part, cut, bucket, buckets, folder)
                yield pa.RecordBatch.from_pylist(here.done(rows), _TOLD_TYPES)
            total = {"view": -1, "what": "read", "day": "", "rows": 0, "bytes": bytes_read() - before}
            yield pa.RecordBatch.from_pylist([total], _TOLD_TYPES)

    return run


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One view's keys of one bucket."""

    view: FeatureView
    part: Part
    cut: int
    bucket: int
    buckets: int
    folder: str

    def done(self, rows: pa.Table) -> list[dict[str, Any]]:
        if self.part.state is None:
            told = [] if self.part.replaced is None else self._replaced(_of_keys(rows, self.part.replaced))
            if self.part.only == NONE:
                return told
            some = rows if self.part.only is None else _of_keys(rows, self.part.only)
            return told + self._written(start(self.view, self.cut, some))
        own, told = self._tiles(rows)
        state = Path(self.part.state)
        older = read_tiles(self.view, self.part.older, self.bucket, self.buckets, edges(self.view, self.cut))
        made = carry(
            self.view,
            self.cut,
            read_bucket(state, "sums", self.bucket),
            read_bucket(state, "rows", self.bucket),
            rows,
            own,
            older,
        )
        if len(made.gaps):
            path = f"{self.folder}/gaps-{self.part.number}-{self.bucket}.parquet"
            pq.write_table(made.gaps, path)
            told.append(self._told("gaps", len(made.gaps), path))
        return told + self._written(made)

    def _tiles(self, rows: pa.Table) -> tuple[pa.Table, list[dict[str, Any]]]:
        """What the cut newly knows, built here or read; and what was written. Counts and sums follow from new rows alone, which is all that is carried."""
        if self.part.build is None:
            return read_tiles(self.view, self.part.own, self.bucket, self.buckets), []
        made = tiles(self.view, tile_rows(self.view, rows), [self.cut])
        names = {key: f"k{n}" for n, key in enumerate(self.view.keys)}
        own, told, whole = made.rename_columns([names.get(name, name) for name in made.column_names]), [], made
        taken = own.filter(own["asof_replaces"]).group_by(list(names.values())).aggregate([("asof_tile", "min")])
        if len(taken):
            path = f"{self.folder}/replaced-{self.part.number}-{self.bucket}.parquet"
            pq.write_table(taken, path)
            told.append(self._told("replaced", len(taken), path))
            keys = taken.select(list(names.values())).rename_columns(list(names))
            whole = made.join(keys, list(names), join_type="left anti").combine_chunks()
        return own, told + self._stored(whole)

    def _replaced(self, rows: pa.Table) -> list[dict[str, Any]]:
        made = tiles(self.view, tile_rows(self.view, rows), [self.cut])
        return [*self._stored(made), self._told("replacing", made["asof_replaces"].to_pylist().count(True), "")]

    def _stored(self, made: pa.Table) -> list[dict[str, Any]]:
        location, suffix = Path(self.part.build or ""), self.part.suffix
        written = write_tiles(self.view, made, location, self.bucket, self.buckets, suffix)
        return [self._told("tiles", count, day) for _, day, count in written]

    def _written(self, made: Carried) -> list[dict[str, Any]]:
        location, suffix = Path(self.part.location), self.part.suffix
        for name, table in (("sums", made.sums), ("rows", made.rows)):
            repeating = ("asof_time",) if made.by_tile and name == "rows" else ()
            write_bucket(location / "_state", name, self.bucket, self.buckets, table, suffix, repeating)
        if len(made.values) or (self.bucket == 0 and not suffix):  # a table has a file, that readers know its columns
            write_bucket(location, "part", self.bucket, self.buckets, made.values, suffix)
        return [self._told("values", len(made.values), "")]

    def _told(self, what: str, rows: int, day: str) -> dict[str, Any]:
        return {"view": self.part.number, "what": what, "day": day, "rows": rows, "bytes": 0}


def _of_keys(rows: pa.Table, path: str) -> pa.Table:
    """The rows of the keys of a file."""
    keys = pq.ParquetFile(path).read()
    return rows.join(keys, keys.column_names, join_type="left semi").combine_chunks()
