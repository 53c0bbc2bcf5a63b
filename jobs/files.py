"""The tables' file system (a local folder, hdfs:// or s3://) without Spark: small records, written whole or not at all, and rows."""

import errno
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from features.errors import AsofError, BusyError, InputError, SettingsError

__all__ = [
    "FULL",
    "bytes_of",
    "changed",
    "exists",
    "folders",
    "make_folder",
    "open_system",
    "parquet_files",
    "parquet_rows",
    "parquet_table",
    "read_files",
    "read_record",
    "remove_folder",
    "rows_of",
    "write_record",
    "write_rows",
    "write_text",
]

Record = dict[str, Any]
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk without room says."""


def open_system(path: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URL, and the path in it.

    Raises:
        SettingsError: it cannot be reached.
    """
    try:
        # What Spark calls s3a is s3 to Arrow.
        return (
            fs.FileSystem.from_uri(path.replace("s3a://", "s3://", 1))
            if "://" in path
            else (fs.LocalFileSystem(), path)
        )
    except (OSError, pa.ArrowInvalid) as error:
        msg = (
            f"{path} cannot be reached: {str(error).splitlines()[0]}. Of hdfs:// a Hadoop client must be here (HADOOP_HOME, CLASSPATH and ARROW_LIBHDFS_DIR name it), of "
            "s3a:// its key and endpoint in the environment; or set tables.root to a folder of this machine."
        )
        raise SettingsError(msg) from error


def write_record(path: str, record: Mapping[str, Any]) -> None:
    """Replaces a JSON record in one move; see `write_text`."""
    write_text(path, json.dumps(record, indent=1, sort_keys=True))


def write_text(path: str, text: str) -> None:
    """Replaces a file in one move.

    Raises:
        BusyError: the file system refuses.
        OSError: the disk is full; `spark_errors` has the words for that, wherever it is met.
    """
    _replace(path, lambda stream: stream.write(text.encode()))


def write_rows(path: str, rows: pa.Table) -> None:
    """Replaces a Parquet file in one move; raises as `write_text` does."""
    _replace(path, lambda stream: pq.write_table(rows, stream))


def _replace(path: str, write: Callable[[Any], object]) -> None:
    files, place = open_system(path)
    folder, _, name = place.rpartition("/")
    # Spark and Hive leave files alone whose names begin with a dot.
    temporary = f"{folder}/.{name}.{uuid4().hex}.tmp" if folder else f".{name}.{uuid4().hex}.tmp"
    try:
        if folder:
            files.create_dir(folder, recursive=True)
        with files.open_output_stream(temporary) as stream:
            write(stream)
        files.move(temporary, place)
    except OSError as error:
        if error.errno in FULL:
            raise
        msg = f"{path} cannot be written: {error}. Nothing was changed; mend the file system and run the same command again."
        raise BusyError(msg) from error


def read_record(path: str) -> Record | None:
    """None where there is none."""
    files, place = open_system(path)
    if files.get_file_info(place).type != fs.FileType.File:
        return None
    with files.open_input_stream(place) as stream:
        text = stream.read()
    try:
        found: Record = json.loads(text)
    except ValueError as error:
        msg = (
            f"The record {path} is no JSON ({error}). Asof writes such records whole, so something else did this. "
            "Put back a copy of it, or remove it and run again the step that writes it."
        )
        raise AsofError(msg) from error
    return found


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    files, place = open_system(path)
    return bool(files.get_file_info(place).type != fs.FileType.NotFound)


def folders(path: str) -> tuple[str, ...]:
    """Names of the folders directly below, sorted; none where the path is missing, or a file."""
    files, place = open_system(path)
    if files.get_file_info(place).type == fs.FileType.File:
        return ()
    found = files.get_file_info(fs.FileSelector(place, allow_not_found=True))
    return tuple(sorted(item.base_name for item in found if item.type == fs.FileType.Directory))


def make_folder(path: str) -> None:
    """With its parents; nothing happens where it is there."""
    files, place = open_system(path)
    files.create_dir(place, recursive=True)


def remove_folder(path: str) -> None:
    """With all that is in it; nothing happens where it is missing."""
    files, place = open_system(path)
    if files.get_file_info(place).type == fs.FileType.Directory:
        files.delete_dir(place)


def parquet_rows(
    places: Sequence[str], schema: pa.Schema, partitions: pa.Schema, columns: Sequence[str], where: pc.Expression
) -> pa.Table:
    """Rows of all Parquet files directly in some folders of one file system, without Spark.

    Args:
        places: the folders; their paths name the partitions as Hive does.
        schema: of the files and the partitions.
        partitions: the partitions'.
        columns: those to read.
        where: which rows.
    """
    files = [open_system(place) for place in places]
    if not files:
        return pa.schema([schema.field(name) for name in columns]).empty_table()
    found = [
        item.path
        for system, place in files
        for item in system.get_file_info(fs.FileSelector(place))
        if item.base_name.endswith(".parquet")
    ]
    read = ds.dataset(
        found, schema, format="parquet", filesystem=files[0][0], partitioning=ds.partitioning(partitions, flavor="hive")
    )
    return read.to_table(list(columns), filter=where)


def parquet_files(folder: str) -> list[str]:
    """Those directly in a folder, in the order of their names; what Spark does not read either is left out."""
    system, place = open_system(folder)
    names = sorted(item.base_name for item in system.get_file_info(fs.FileSelector(place)))
    return [f"{folder}/{name}" for name in names if name.endswith(".parquet") and not name.startswith((".", "_"))]


def bytes_of(paths: Iterable[str]) -> int:
    """Of all of these files."""
    return sum(system.get_file_info(place).size or 0 for system, place in map(open_system, paths))


def changed(paths: Iterable[str]) -> list[tuple[str, int, int]]:
    """Of each of these files its size, and when it last changed, as far as its file system says."""
    found = [
        (path, system.get_file_info(place)) for path, (system, place) in ((path, open_system(path)) for path in paths)
    ]
    return [(path, info.size or 0, info.mtime_ns or 0) for path, info in found]


def parquet_table(path: str) -> pa.Table:
    """All of a Parquet file, in its own columns and types."""
    system, place = open_system(path)
    with system.open_input_file(place) as opened:
        return pq.ParquetFile(opened).read()


def rows_of(paths: Iterable[str]) -> int:
    """Of all of these Parquet files, by what stands at their ends."""
    total = 0
    for system, place in map(open_system, paths):
        with system.open_input_file(place) as opened:
            total += pq.ParquetFile(opened).metadata.num_rows
    return total


def row_groups(paths: Iterable[str]) -> list[tuple[str, int]]:
    """The row groups of some Parquet files: each file with each number."""
    made = []
    for path in sorted(paths):
        system, place = open_system(path)
        with system.open_input_file(place) as opened:
            made += [(path, number) for number in range(pq.ParquetFile(opened).num_row_groups)]
    return made


def read_group(path: str, number: int, schema: pa.Schema) -> pa.Table:
    """The columns of one row group.

    Raises:
        InputError: the file lacks one of them.
    """
    system, place = open_system(path)
    with system.open_input_file(place) as opened:
        file = pq.ParquetFile(opened)
        if missing := sorted(set(schema.names) - set(file.schema_arrow.names)):
            msg = f"{path} has no column {', '.join(missing)}: it was published by another definition. Compute and publish the cut again."
            raise InputError(msg)
        rows = file.read_row_group(number, columns=schema.names, use_threads=False)
    return rows.select(schema.names).cast(schema)


def read_files(paths: Iterable[str], schema: pa.Schema) -> pa.Table:
    """The columns of some Parquet files of a table; null where a column came later than its file."""
    parts = [schema.empty_table()]
    for path in sorted(paths):
        system, place = open_system(path)
        with system.open_input_file(place) as opened:
            file = pq.ParquetFile(opened)
            there = set(file.schema_arrow.names)
            rows = file.read([name for name in schema.names if name in there])
        for name in (name for name in schema.names if name not in there):
            rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
        parts.append(rows.select(schema.names).cast(schema))
    return pa.concat_tables(parts)
