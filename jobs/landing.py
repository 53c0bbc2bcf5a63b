"""Raw files as they arrive, Parquet or CSV: the declared columns as found, why rows of a CSV are broken beside them."""

import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from glob import glob
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.sources import Source
from features.errors import InputError, MissingError
from features.values.sweep import ARROW_TYPES
from jobs.files import exists, open_system

__all__ = ["read_few", "read_landing"]


_FILES_AT_ONCE = 16
_PACKED = {"gz": 8}
"""Times that a file grows when it is read, where that is much."""
_NAMED = re.compile(r"/ds(?:=|%3D)([0-9]{4}-[0-9]{2}-[0-9]{2})/")
_PLAIN = (
    *(pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.date32()),
    *(pa.timestamp(unit, "UTC") for unit in ("ms", "us")),
)
"""Types that Spark and Arrow read alike."""

_EMPTY = "\x00"
"""Stands for a text of nothing within quotes, which is no null, until the row is read."""

_REPLACED = "\ufffd"
_NOT_UTF_8 = "' holds bytes that are not UTF-8; write the file in UTF-8"


def read_landing(spark: SparkSession, source: Source, path: str, *, only: date | None = None) -> DataFrame:
    """Columns: the source's as the input has them, `asof_input_ds` (of a folder ds=…, else null), `asof_broken` (why a row is broken).

    Raises:
        MissingError: there is no such input, or a declared column is not in each file of it.
        InputError: the input is neither Parquet nor CSV, or a file of it is broken.
    """
    place = _place(source, path, only)
    rows = _csv(spark, source, place) if _is_csv(place) else _parquet(spark, source, place)
    named = F.regexp_extract(F.col("_metadata.file_path"), r"/ds(?:=|%3D)([0-9]{4}-[0-9]{2}-[0-9]{2})/", 1)
    folder = F.when(named == "", F.lit(None)).otherwise(named)
    broken = F.col("asof_broken") if "asof_broken" in rows.columns else F.lit(None).cast("string")
    for name in [c.name for c in source.given if c.name not in rows.columns and _filled(source, c.name)]:
        rows = rows.withColumn(name, F.lit(False))
    return rows.select(
        *(F.col(f"`{c.name}`") for c in source.given), folder.alias("asof_input_ds"), broken.alias("asof_broken")
    )


def read_few(spark: SparkSession, source: Source, path: str, most: int, *, only: date | None = None) -> pa.Table | None:
    """What `read_landing` gives, in this process; None where the files have so many bytes together, or nobody here can tell.

    Raises:
        MissingError: as there.
        InputError: as there.
    """
    place = _place(source, path, only)
    files = _listed(place)
    if files is None or sum(_PACKED.get(file.extension, 1) * file.size for file in files) >= most:
        return None
    found = None if _is_csv(place) else _parquet_here(source, place, sorted(file.path for file in files))
    return read_landing(spark, source, path, only=only).toArrow() if found is None else found


def _place(source: Source, path: str, only: date | None) -> str:
    place = f"{path.rstrip('/')}/ds={only}" if only is not None and exists(f"{path.rstrip('/')}/ds={only}") else path
    if "*" not in place and not exists(place):
        msg = f"There is no input {place} for source {source.name!r}. Name a Parquet or CSV file, a folder of them, or a glob with --input."
        raise MissingError(msg)
    return place


def _listed(place: str) -> list[fs.FileInfo] | None:
    """The files that Spark would read; None of a glob of another file system."""
    if "*" in place and "://" in place:
        return None
    found: list[fs.FileInfo] = []
    for each in glob(place) if "*" in place else [place]:  # noqa: PTH207 - Path.glob takes no absolute pattern
        system, at = open_system(each)
        info = system.get_file_info(at)
        inside = [] if info.type == fs.FileType.File else system.get_file_info(fs.FileSelector(at, recursive=True))
        shown = [item for item in inside if not _hidden(item.path.removeprefix(at))]
        found += [item for item in [info, *shown] if item.type == fs.FileType.File]
    return found


def _hidden(path: str) -> bool:
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in path.split("/"))


def _parquet_here(source: Source, place: str, files: list[str]) -> pa.Table | None:
    """Rows of Parquet files without Spark; None where it might read them otherwise: of several schemas, other types, or folders that are columns."""
    own = [c.name for c in source.given]
    folders = {path[len(_plain(place)) :].rpartition("/")[0] for path in files}
    of_days = all(re.fullmatch(r"/ds=\d{4}-\d\d-\d\d", folder) for folder in folders)
    if (
        not files
        or "*" in place
        or not (of_days or folders == {""})
        or any(f"/{name}=" in path for path in files for name in own)
    ):
        return None
    if not all(path.endswith(".parquet") for path in files):
        return None
    system, _ = open_system(place)
    _refuse_missing(source, (_columns_in(system, path) for path in files))
    try:
        parts = [_rows_of(system, path, own) for path in files]
    except (OSError, pa.ArrowException):
        return None  # Spark says in its own way what is wrong with it
    first = parts[0].schema
    if any(part.schema != first for part in parts) or any(field.type not in _PLAIN for field in first):
        return None
    instants = {field.name: ARROW_TYPES["timestamp"] for field in first if pa.types.is_timestamp(field.type)}
    try:
        rows = pa.concat_tables(parts).cast(pa.schema([(f.name, instants.get(f.name, f.type)) for f in first]))
    except pa.ArrowInvalid:
        return None
    for name in (name for name in own if name not in rows.column_names):  # a column that `_filled` allows to be away
        rows = rows.append_column(name, pa.array([False] * len(rows), pa.bool_()))
    named = [(_NAMED.search(path), len(part)) for path, part in zip(files, parts, strict=True)]
    days = [pa.array([day[1] if day else None] * count, pa.string()) for day, count in named]
    rows = rows.select(own).append_column("asof_input_ds", pa.chunked_array(days, pa.string()))
    return rows.append_column("asof_broken", pa.nulls(len(rows), pa.string()))


def _plain(place: str) -> str:
    """The path within its file system."""
    return open_system(place.rstrip("/"))[1]


def _rows_of(system: fs.FileSystem, path: str, names: list[str]) -> pa.Table:
    with system.open_input_file(path) as opened:
        file = pq.ParquetFile(opened)
        there = file.schema_arrow.names
        if len({name.lower() for name in there}) < len(there):
            msg = "case alone tells two columns apart"
            raise pa.ArrowInvalid(msg)
        return file.read([name for name in names if name in there]).replace_schema_metadata(None)


def _parquet(spark: SparkSession, source: Source, place: str) -> DataFrame:
    """Spark takes the columns of one file for those of all, and nulls where another lacks them: so each file is asked."""
    rows = spark.read.parquet(place)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        _refuse_missing(source, pool.map(lambda file: _columns_in(*open_system(file)), sorted(rows.inputFiles())))
    return rows


def _refuse_missing(source: Source, files: Iterable[tuple[str, list[str]]]) -> None:
    declared = [c.name for c in source.given if not _filled(source, c.name)]
    for path, there in files:
        # A folder name=… on the way to a file gives its rows that column.
        if missing := [name for name in declared if name not in there and f"/{name}=" not in path]:
            msg = (
                f"The input {path} has no column {', '.join(missing)}, which source {source.name!r} ({source.where}) declares. "
                f"It has {', '.join(there)}. Deliver the file with it, or correct the definition."
            )
            raise MissingError(msg)


def _columns_in(files: fs.FileSystem, path: str) -> tuple[str, list[str]]:
    """The path of a Parquet file, and its columns."""
    try:
        with files.open_input_file(path) as opened:
            return path, pq.read_schema(opened).names
    except pa.ArrowInvalid as error:
        msg = f"A file of the input is no Parquet file, or a broken one: {path} ({error}). Deliver it again, or take it out of the input."
        raise InputError(msg) from error


def _filled(source: Source, name: str) -> bool:
    """A snapshot tells deletions by what it lacks; a column of its own for them may come, and need not."""
    return source.kind == "full" and name == source.deleted


def _is_csv(place: str) -> bool:
    if place.endswith((".csv", ".csv.gz")):
        return True
    if "*" in place or "://" in place or Path(place).is_file():
        return False
    found = (
        fs.LocalFileSystem().get_file_info(fs.FileSelector(place, recursive=True))
        if not place.endswith(".parquet")
        else []
    )
    names = [
        item.base_name for item in found if item.type == fs.FileType.File and not item.base_name.startswith(("_", "."))
    ]
    kinds = {
        "csv" if name.endswith((".csv", ".csv.gz")) else "parquet" if name.endswith(".parquet") else "other"
        for name in names
    }
    if kinds == {"other"}:
        msg = f"The input {place} holds neither Parquet nor CSV files but, for instance, {names[0]}. Give files whose names end with .parquet or .csv."
        raise InputError(msg)
    if kinds and not kinds <= {"csv"} and not kinds <= {"parquet"}:
        msg = (
            f"The input {place} holds {', '.join(sorted(kinds))} files. Give Parquet files or CSV files, not a mixture."
        )
        raise InputError(msg)
    return kinds == {"csv"}


def _header(spark: SparkSession, place: str) -> list[str]:
    """As it is written: Spark itself would number the columns that are there twice."""
    rows = spark.read.options(header="false", escape='"', multiLine="true").csv(place)
    first = rows.select(*(name for name in rows.columns if name.startswith("_c"))).first()  # no column of the folders
    header = [] if first is None else [str(name) for name in first if name is not None]
    lower = Counter(name.lower() for name in header)
    if twice := sorted({name for name in header if lower[name.lower()] > 1}):
        msg = f"The CSV {place} has the column{'s' * (len(twice) > 1)} {', '.join(twice)} twice. Rename or drop one of them."
        raise InputError(msg)
    return header


def _csv(spark: SparkSession, source: Source, place: str) -> DataFrame:
    """All text: types are asked of each value later. The header says which columns there are."""
    header = _header(spark, place)
    if missing := [c.name for c in source.given if c.name not in header and not _filled(source, c.name)]:
        msg = f"The CSV {place} has no column {', '.join(missing)}, which source {source.name!r} ({source.where}) declares. Its header: {', '.join(header)}."
        raise MissingError(msg)
    schema = ", ".join(f"`{name}` string" for name in [*header, "asof_corrupt"])
    options = {
        "header": "true",
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "asof_corrupt",
        "enforceSchema": "false",
        "escape": '"',  # RFC 4180: a quote within quotes is doubled, and a backslash is a character like any other
        "multiLine": "true",  # and a newline within quotes ends no row
        "emptyValue": _EMPTY,
    }
    rows = spark.read.options(**options).schema(schema).csv(place)
    columns = {name: F.col(f"`{name}`") for name in header}
    texts = [F.when(column == _EMPTY, "").otherwise(column).alias(name) for name, column in columns.items()]
    fields = F.concat(F.lit("the row has too many or too few fields: "), F.col("asof_corrupt"))
    coded = [
        F.when(column.contains(_REPLACED), F.concat(F.lit(f"{name}: '"), column, F.lit(_NOT_UTF_8)))
        for name, column in columns.items()
    ]
    return rows.select(*texts, F.coalesce(fields, *coded).alias("asof_broken"), F.col("_metadata"))
