"""Parquet files of one bucket of keys each: NAME-00003-of-00008.parquet. Whoever has another number of buckets finds its rows too. No Spark."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions.tiling import tiling
from features.definitions.views import FeatureView
from features.values.sweep import ARROW_TYPES
from features.values.tiles import dated
from jobs.exchange import bucket_of

__all__ = ["join_tiles", "read_bucket", "read_tiles", "write_bucket", "write_tiles"]

_WORTH_A_FILE = 2_000
"""Rows."""
_NAME = re.compile(r"-(\d+)-of-(\d+)(-\w+)?\.parquet$")


def write_bucket(
    folder: Path,
    name: str,
    bucket: int,
    buckets: int,
    rows: pa.Table,
    suffix: str = "",
    repeating: Collection[str] = (),
) -> Path:
    """Whole or not at all; a task that is tried again writes the same file, which is given. `repeating`: columns of few different numbers in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{bucket:05d}-of-{buckets:05d}{suffix}.parquet"
    temporary = folder / f"_{path.name}.{uuid4().hex[:8]}"
    # Differences take less room and time than a dictionary: keys and times are in order, counts and sums hardly repeat.
    numbers = [field.name for field in rows.schema if pa.types.is_int64(field.type) and field.name not in repeating]
    plain: Any = [name for name in rows.column_names if name not in numbers]  # the stubs know only a bool
    pq.write_table(
        rows, temporary, compression="zstd", use_dictionary=plain,
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    )  # fmt: skip
    temporary.replace(path)
    return path


def write_tiles(
    view: FeatureView, made: pa.Table, location: Path, bucket: int, buckets: int, suffix: str = ""
) -> Iterator[tuple[str, str, int]]:
    """Writes what `features.values.tiles` made of a bucket; gives each cut and day with its rows."""
    shown = dated(view, made)
    places = shown.group_by(["cut", "day"]).aggregate([([], "count_all")]).to_pylist()
    for place in sorted(places, key=lambda place: (place["cut"], place["day"])):
        cut, day = place["cut"], place["day"]
        mine = shown.filter(pc.and_(pc.equal(shown["cut"], cut), pc.equal(shown["day"], day)))
        write_bucket(
            location / f"cut={cut}" / f"day={day}", "tiles", bucket, buckets, mine.drop_columns(["cut", "day"]), suffix
        )
        yield cut, day, len(mine)


def join_tiles(location: str, places: Mapping[tuple[str, str], int]) -> None:
    """Makes one file of a cut and day whose buckets have tiny ones: a reader of many cuts pays for each file. Before the build is recorded.

    Args:
        location: of the build.
        places: cut and day to rows.
    """
    for (cut, day), rows in places.items():
        files = sorted(Path(location, f"cut={cut}", f"day={day}").glob("[!_.]*.parquet"))
        if len(files) > 1 and rows < _WORTH_A_FILE * len(files):
            whole = write_bucket(
                files[0].parent, "tiles", 0, 1, pa.concat_tables([pq.ParquetFile(path).read() for path in files])
            )
            for path in (path for path in files if path != whole):
                path.unlink()


def read_bucket(folder: Path, name: str, bucket: int) -> pa.Table:
    """All that was written of a bucket."""
    return pa.concat_tables(
        [pq.ParquetFile(path).read() for path in sorted(folder.glob(f"{name}-{bucket:05d}-of-*.parquet"))]
    )


def read_tiles(
    view: FeatureView, folders: Sequence[str], bucket: int, buckets: int, spans: Sequence[tuple[int, int]] | None = None
) -> pa.Table:
    """A bucket's tiles out of folders of any layout: keys as k0 and so on, `asof_tile` in microseconds, partials that are undone by subtraction.

    Args:
        view: its definition.
        folders: of its tiles.
        bucket: which keys.
        buckets: out of so many, a power of two.
        spans: of event time, microseconds; None: all.
    """
    partials = [partial.name for partial in tiling(view).partials if partial.removable]
    names = {key: f"k{n}" for n, key in enumerate(view.keys)}
    kinds = dict.fromkeys(names.values(), ARROW_TYPES[view.entity.type])
    schema = pa.schema([*kinds.items(), *((name, pa.int64()) for name in ("asof_tile", *partials))])
    made = [schema.empty_table()]
    for path in (path for folder in folders for path in sorted(Path(folder).glob("[!_.]*.parquet"))):
        its = _NAME.search(path.name)
        number, of = (int(its[1]), int(its[2])) if its else (0, 1)
        least = min(of, buckets)
        if number % least != bucket % least:
            continue
        rows = pq.ParquetFile(path).read(columns=[*names, "asof_tile", *partials])
        rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
        rows = rows.select(schema.names).cast(schema)
        if of < buckets:
            rows = rows.filter(pa.array(bucket_of([rows[key] for key in names.values()], buckets) == bucket))
        made.append(rows if spans is None else rows.filter(pa.array(_inside(rows["asof_tile"], spans))))
    return pa.concat_tables(made).combine_chunks()


def _inside(tile: pa.ChunkedArray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    at = np.asarray(tile.combine_chunks().to_numpy(zero_copy_only=False))
    inside = np.zeros(len(at), dtype=bool)
    for lower, upper in spans:
        inside |= (at >= lower) & (at < upper)
    return inside
