"""The only reads and writes of Hive. A table's partitions are folders written elsewhere first; one metastore change shows them."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.names import STATE, cut_text, parse_cut, tiles_table, utc, view_table
from features.definitions.sources import Source
from features.definitions.tiling import tiling
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.settings import Settings

__all__ = [
    "HIVE_TYPES", "STORED_COLUMNS", "ensure_files", "ensure_table", "ensure_tiles", "files_of", "location", "partition_values", "point_at", "published", "published_cuts",
    "show_tiles", "shown_tiles", "source_table", "stored_rows", "tile_columns", "tile_rows", "view_columns",
]  # fmt: skip

HIVE_TYPES = {
    "string": "string",
    "int64": "bigint",
    "float64": "double",
    "bool": "boolean",
    "timestamp": "timestamp",
    "binary": "binary",
}
_DEFINITION = "asof.definition"
"""The table property that says by which definition its tiles were made."""

_FEW_CUTS = 4
"""So many are asked for one by one: a table has partitions of all cuts that there ever were."""

_NO_TABLE = "TABLE_OR_VIEW_NOT_FOUND"

STORED_COLUMNS = {
    "asof_op": "string",
    "asof_known_at": "timestamp",
    "asof_undoes": "timestamp",
    "asof_first": "boolean",
}
"""Asof's own columns of a source's table, after the source's; see features.values.versions."""


def view_columns(view: FeatureView) -> dict[str, str]:
    """Column to Hive type of a view's table, the partition left out."""
    keys = dict.fromkeys(view.keys, HIVE_TYPES[view.entity.type])
    values = {name: HIVE_TYPES[kind] for name, kind in view.types.items()}
    state = {STATE: "binary"} if view.stateful else {}
    return {**keys, **values, **state, "asof_status": "string", "event_timestamp": "timestamp"}


def source_columns(source: Source) -> dict[str, str]:
    """Column to Hive type of a source's table, the partition left out."""
    return {name: HIVE_TYPES[kind] for name, kind in source.types.items()} | STORED_COLUMNS


def tile_columns(view: FeatureView) -> dict[str, str]:
    """Column to Hive type of the table of a view's tiles, the partitions left out; see docs/tiles.md."""
    keys = dict.fromkeys(view.keys, HIVE_TYPES[view.entity.type])
    partials = {partial.name: HIVE_TYPES[partial.type] for partial in tiling(view).partials}
    return {**keys, "asof_tile": "timestamp", "asof_replaces": "boolean", **partials}


def ensure_table(
    spark: SparkSession, settings: Settings, table: str, columns: Mapping[str, str], partition: str
) -> None:
    """Makes an external Parquet table where it is missing; adds columns that are new.

    Raises:
        InputError: a column has another type than the table's.
    """
    try:
        there = dict(spark.table(table).dtypes)
    except AnalysisException as error:
        if error.getCondition() != _NO_TABLE:
            raise
        _create(spark, settings, table, columns, [partition])
        there = dict(spark.table(table).dtypes)
    wrong = [
        f"{name} is {there[name]} there, {kind} in the definition"
        for name, kind in columns.items()
        if there.get(name, kind) != kind
    ]
    if wrong:
        msg = f"Table {table} does not fit its definition: {'; '.join(wrong)}. Give the changed column another name, or the view another name."
        raise InputError(msg)
    if new := [f"`{name}` {kind}" for name, kind in columns.items() if name not in there]:
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({', '.join(new)})")


def _create(
    spark: SparkSession,
    settings: Settings,
    table: str,
    columns: Mapping[str, str],
    partitions: Sequence[str],
    more: str = "",
) -> None:
    database, _, name = table.partition(".")
    spark.sql(f"CREATE DATABASE IF NOT EXISTS {database} LOCATION '{settings.tables_root}/{database}.db'")
    listed = ", ".join(
        f"`{name}` {kind}" for name, kind in (*columns.items(), *((part, "string") for part in partitions))
    )
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {table} ({listed}) USING hive OPTIONS (fileFormat 'parquet') "
        f"PARTITIONED BY ({', '.join(f'`{part}`' for part in partitions)}) LOCATION '{settings.tables_root}/{database}.db/{name}' {more}"
    )


def ensure_files(spark: SparkSession, settings: Settings, table: str, columns: Mapping[str, str]) -> None:
    """Makes a table of the Parquet files of its folder, where it is missing; the session sees those that are there now.

    A table that shows another folder, because `tables.root` was another when it was made, is moved to this one.
    """
    database, _, name = table.partition(".")
    folder = f"{settings.tables_root}/{database}.db"
    spark.sql(f"CREATE DATABASE IF NOT EXISTS {database} LOCATION '{folder}'")
    if spark.catalog.tableExists(table):
        said = {row["col_name"]: row["data_type"] for row in spark.sql(f"DESCRIBE EXTENDED {table}").collect()}
        if said["Location"].removeprefix("file:") != f"{folder}/{name}":
            spark.sql(f"ALTER TABLE {table} SET LOCATION '{folder}/{name}'")
    else:
        listed = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
        spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({listed}) USING parquet LOCATION '{folder}/{name}'")
    spark.catalog.refreshTable(table)


def ensure_tiles(spark: SparkSession, settings: Settings, view: FeatureView) -> None:
    """Makes the table of a view's tiles. One that shows those of another definition is dropped first; its files stay."""
    table, definition = tiles_table(view), tiling(view).definition
    if spark.catalog.tableExists(table):
        properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {table}").collect()}
        if properties.get(_DEFINITION) == definition:
            return
        spark.sql(f"DROP TABLE {table}")
    _create(
        spark, settings, table, tile_columns(view), ["cut", "day"], f"TBLPROPERTIES ('{_DEFINITION}' = '{definition}')"
    )


def shown_tiles(spark: SparkSession, view: FeatureView, cuts: Collection[str]) -> frozenset[tuple[str, str]]:
    """The cut and day of each partition of some cuts of a view's tiles; what a few have is told however many there are."""
    wanted = set(cuts)
    some = [f"PARTITION (`cut`='{cut}')" for cut in wanted] if len(wanted) <= _FEW_CUTS else [""]
    found = [row[0] for part in some for row in spark.sql(f"SHOW PARTITIONS {tiles_table(view)} {part}").collect()]
    pairs = (text.split("/") for text in found)
    told = ((cut.removeprefix("cut="), day.removeprefix("day=")) for cut, day in pairs)
    return frozenset(pair for pair in told if pair[0] in wanted)


def show_tiles(
    spark: SparkSession,
    view: FeatureView,
    there: Collection[tuple[str, str]],
    cuts: Collection[str],
    folders: Mapping[tuple[str, str], str],
) -> None:
    """Shows these folders, by cut and day, as all that there is of some cuts; `there` is what `shown_tiles` says of them.

    Cuts without partitions appear at once, by one metastore change; of others what is gone leaves first, then what stays moves, day by day.
    Again is harmless.
    """
    table, there = tiles_table(view), set(there)
    gone = sorted(pair for pair in there if pair[0] in cuts and pair not in folders)
    if gone:
        spark.sql(f"ALTER TABLE {table} DROP IF EXISTS {', '.join(_partition(pair) for pair in gone)}")
    for pair in sorted(there & set(folders)):
        spark.sql(f"ALTER TABLE {table} {_partition(pair)} SET LOCATION '{folders[pair]}'")
    if new := sorted(set(folders) - there):
        added = " ".join(f"{_partition(pair)} LOCATION '{folders[pair]}'" for pair in new)
        spark.sql(f"ALTER TABLE {table} ADD IF NOT EXISTS {added}")
    if gone or there & set(folders):
        spark.catalog.refreshTable(table)  # what only appears, Spark notes itself


def _partition(pair: tuple[str, str]) -> str:
    return f"PARTITION (`cut`='{pair[0]}', `day`='{pair[1]}')"


def tile_rows(spark: SparkSession, view: FeatureView, cuts: Collection[int], lower: int, upper: int) -> DataFrame:
    """Tiles that start in `[lower, upper)`, as the given cuts brought them; microseconds UTC."""
    first, last = (str(utc(instant).date()) for instant in (lower, upper - 1))
    rows = spark.table(tiles_table(view)).where(F.col("cut").isin([cut_text(cut) for cut in cuts]))
    rows = rows.where((F.col("day") >= first) & (F.col("day") <= last))
    tile = F.unix_micros("asof_tile")
    return rows.where((tile >= lower) & (tile < upper))


def partition_values(spark: SparkSession, table: str) -> tuple[str, ...]:
    """Of all partitions that readers see; none where there is no such table."""
    try:
        rows = spark.sql(f"SHOW PARTITIONS {table}").collect()
    except AnalysisException as error:
        if error.getCondition() != _NO_TABLE:
            raise
        return ()
    return tuple(row[0].partition("=")[2] for row in rows)


def location(spark: SparkSession, table: str, partition: str, value: str) -> str | None:
    """The folder a partition points at; None where there is no such partition or table."""
    find = _location_asked if hasattr(spark, "_jsparkSession") else _location_described
    try:
        return find(spark, table, partition, value)
    except AnalysisException as error:
        if error.getCondition() not in {_NO_TABLE, "PARTITIONS_NOT_FOUND"}:
            raise
        return None


def _location_asked(spark: SparkSession, table: str, partition: str, value: str) -> str | None:
    """By one question to the catalogue. A statement asks it more, and is planned and run besides: a seventh of a second instead of a fortieth."""
    # PySpark has no other way.
    session: Any = spark._jsparkSession  # noqa: SLF001
    jvm: Any = spark._jvm  # noqa: SLF001
    database, _, name = table.partition(".")
    catalog = session.sharedState().externalCatalog()
    found = catalog.getPartitionOption(database, name, jvm.PythonUtils.toScalaMap({partition: value}))
    if found.isEmpty():
        return None
    said = getattr(jvm, "org.apache.spark.sql.catalyst.catalog.CatalogUtils").URIToString(found.get().location())
    return str(said).removeprefix("file:")


def _location_described(spark: SparkSession, table: str, partition: str, value: str) -> str:
    """Of Spark Connect, which has statements alone."""
    rows = spark.sql(f"DESCRIBE FORMATTED {table} PARTITION (`{partition}`='{value}')").collect()
    return next(str(row[1]).removeprefix("file:") for row in rows if row[0] == "Location")


def point_at(
    spark: SparkSession, table: str, partition: str, folders: Mapping[str, str], *, there: Collection[str] | None = None
) -> None:
    """Shows each partition value's folder: readers see the old rows or the new, never a part. Again is harmless. `there`: what `partition_values` says."""
    there = partition_values(spark, table) if there is None else there
    new = {value: folder for value, folder in folders.items() if value not in there}
    for value, folder in folders.items():
        if value in there:
            spark.sql(f"ALTER TABLE {table} PARTITION (`{partition}`='{value}') SET LOCATION '{folder}'")
    if new:
        added = " ".join(f"PARTITION (`{partition}`='{value}') LOCATION '{folder}'" for value, folder in new.items())
        spark.sql(f"ALTER TABLE {table} ADD IF NOT EXISTS {added}")
    if len(new) < len(folders):
        spark.catalog.refreshTable(table)  # what only appears, Spark notes itself


def files_of(rows: DataFrame) -> list[str]:
    """The files behind rows of a table or folder, of those partitions that a filter leaves: paths, or URLs of another file system."""
    return [
        unquote(re.sub("^file:(//)?", "", path)) if path.startswith("file:") else path for path in rows.inputFiles()
    ]


def source_table(spark: SparkSession, source: Source) -> DataFrame:
    """The stored rows of a source, all partitions.

    Raises:
        MissingError: the table is not there, or lacks columns of the definition.
    """
    try:
        rows = spark.table(source.table)
        columns = rows.columns
    except AnalysisException as error:
        if error.getCondition() != _NO_TABLE:
            raise
        msg = f"There is no Hive table {source.table}, which source {source.name!r} reads. Load it: `asof ingest --source {source.ingested_by} --input …`."
        raise MissingError(msg) from error
    if missing := sorted((set(source.types) | set(STORED_COLUMNS)) - set(columns)):
        msg = (
            f"Table {source.table} has no column {', '.join(missing)}, which source {source.name!r} ({source.where}) declares. "
            f"Correct the definition, or load the table again with `asof ingest --source {source.ingested_by}`."
        )
        raise MissingError(msg)
    return rows


def stored_rows(spark: SparkSession, source: Source, *, before: int) -> DataFrame:
    """Additions, retractions and tombstones known before an instant (microseconds UTC), as ingest stored them."""
    last = (utc(before) - timedelta(microseconds=1)).date()
    rows = source_table(spark, source).where(F.col(source.partition) <= str(last))
    return rows.where(F.unix_micros("asof_known_at") < before)


def published_cuts(spark: SparkSession, view: FeatureView) -> tuple[int, ...]:
    """Cuts of a view that readers see, oldest first, in microseconds UTC."""
    return tuple(sorted(parse_cut(value) for value in partition_values(spark, view_table(view))))


def published(spark: SparkSession, view: FeatureView, cut: int) -> DataFrame:
    """The published rows of a cut: keys, features, asof_status, event_timestamp.

    Raises:
        MissingError: the cut is not published.
    """
    cuts = published_cuts(spark, view)
    if cut not in cuts:
        known = [cut_text(item) for item in cuts]
        raise MissingError.of(
            f"published cut of view {view.name!r}",
            cut_text(cut),
            known,
            f"Run `asof publish --cut {utc(cut).isoformat()}`.",
        )
    return spark.table(view_table(view)).where(F.col("cut") == cut_text(cut)).select(*view_columns(view))
