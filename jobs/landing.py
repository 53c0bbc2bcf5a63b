"""Raw files as they arrive, Parquet or CSV: the declared columns as found, why rows of a CSV are broken beside them."""

from collections import Counter
from datetime import date
from pathlib import Path

from pyarrow import fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.sources import Source
from features.errors import InputError, MissingError
from jobs.files import exists

__all__ = ["read_landing"]


_EMPTY = "\x00"
"""Stands for a text of nothing within quotes, which is no null, until the row is read."""

_REPLACED = "\ufffd"
_NOT_UTF_8 = "' holds bytes that are not UTF-8; write the file in UTF-8"


def read_landing(spark: SparkSession, source: Source, path: str, *, only: date | None = None) -> DataFrame:
    """Columns: the source's as the input has them, `asof_input_ds` (of a folder ds=…, else null), `asof_broken` (why a row is broken).

    Raises:
        MissingError: there is no such input, or a declared column is not in it.
        InputError: the input is neither Parquet nor CSV.
    """
    place = f"{path.rstrip('/')}/ds={only}" if only is not None and exists(f"{path.rstrip('/')}/ds={only}") else path
    if "*" not in place and not exists(place):
        msg = f"There is no input {place} for source {source.name!r}. Name a Parquet or CSV file, a folder of them, or a glob with --input."
        raise MissingError(msg)
    rows = _csv(spark, source, place) if _is_csv(place) else spark.read.parquet(place)
    named = F.regexp_extract(F.col("_metadata.file_path"), r"/ds(?:=|%3D)([0-9]{4}-[0-9]{2}-[0-9]{2})/", 1)
    folder = F.when(named == "", F.lit(None)).otherwise(named)
    broken = F.col("asof_broken") if "asof_broken" in rows.columns else F.lit(None).cast("string")
    for name in [c.name for c in source.columns if c.name not in rows.columns and _filled(source, c.name)]:
        rows = rows.withColumn(name, F.lit(False))
    if missing := [c.name for c in source.columns if c.name not in rows.columns]:
        there = ", ".join(rows.columns)
        msg = f"The input {place} has no column {', '.join(missing)}, which source {source.name!r} ({source.where}) declares. It has {there}."
        raise MissingError(msg)
    return rows.select(
        *(F.col(f"`{c.name}`") for c in source.columns), folder.alias("asof_input_ds"), broken.alias("asof_broken")
    )


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
    if missing := [c.name for c in source.columns if c.name not in header and not _filled(source, c.name)]:
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
