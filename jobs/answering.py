"""The parts of a retrieval: each answers some of the columns for the rows of an entity frame, by `asof_row`. No Feast.

Plain views are joined, from files that tasks read themselves or from whatever else Spark reads; Asof's own are computed by the machinery of `asof frame`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    FractionalType,
    IntegralType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from features.definitions.expressions import ColumnType
from features.definitions.requests import request_fields
from features.errors import InputError, MissingError
from features.settings import Settings
from features.values.partition import EntityViews
from jobs.feast_frames import EntityFrame
from jobs.joining import FEW, Side, buckets, joined, keyed
from jobs.joining_files import Wanted, asked_blobs, found_in_files, joined_files
from jobs.pit import ASKS, BLOBS, ROW, TIME, cut, hashes
from jobs.pit_files import Files
from jobs.pit_sent import few_enough
from jobs.rows import passed
from jobs.session import CORRECTNESS

__all__ = ["Computed", "Filed", "Joined", "Part"]


class Part(Protocol):
    """What answers some of the columns."""

    def answers(self) -> DataFrame:
        """`asof_row` and the columns of the result."""
        ...

    def collected(self) -> pa.Table:
        """The same, at the driver."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Stored views that share their keys."""

    frame: EntityFrame
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    sides: tuple[Side, ...]
    names: Mapping[str, str]
    """From the sides' columns to those of the result."""

    def answers(self) -> DataFrame:
        """As `Part` says."""
        found = self._found(packed=False)
        return found.select(ROW, *(F.col(held).alias(name) for held, name in self.names.items()))

    def collected(self) -> pa.Table:
        """As `Part` says."""
        data = self._found(packed=True).toArrow()["data"].combine_chunks()
        tables = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in data]
        if not tables:  # all keys are null
            return self.answers().limit(0).toArrow()
        return pa.concat_tables(tables).rename_columns([ROW, *self.names.values()])

    def _found(self, *, packed: bool) -> DataFrame:
        schema, pairs = self.frame.schema, list(zip(self.keys, self.kinds, strict=True))
        keys = [keyed(name, schema[name].dataType, kind).alias(f"k{n}") for n, (name, kind) in enumerate(pairs)]
        asks = self.frame.narrow(self.keys).select(*keys, TIME, ROW)
        return joined(asks, self.sides, len(keys), few=self.frame.rows <= FEW, packed=packed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A stored view whose source is files that tasks read."""

    frame: EntityFrame
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    files: Files
    wanted: Wanted
    rows: DataFrame
    """The source, for the planner's guess of its size."""

    names: Mapping[str, str]
    """From the columns that `wanted` names to those of the result."""

    def answers(self) -> DataFrame:
        """As `Part` says."""
        found = self._found(packed=False)
        return found.select(ROW, *(F.col(held).alias(name) for held, name in self.names.items()))

    def collected(self) -> pa.Table:
        """As `Part` says."""
        asks = self._at_the_driver()
        if asks is not None and len(asks) and few_enough(len(asks), self.files):
            tables = found_in_files(self.frame.spark, asks, self.files, self.wanted)
        else:
            data = self._found(packed=True).toArrow()["data"].combine_chunks()
            tables = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in data]
        if not tables:
            return self.answers().limit(0).toArrow()
        return pa.concat_tables(tables).rename_columns([ROW, *self.names.values()])

    def _found(self, *, packed: bool) -> DataFrame:
        read = self.rows.select(*(F.col(f"`{name}`") for name in (*self.wanted.keys, self.wanted.time)))
        count = buckets(self.frame.spark, [read]) if self.keys else 1
        asks, keys = self._asks(count)
        kinds = StructType([StructField(held, self.rows.schema[name].dataType) for held, name in self.wanted.features.items()])  # fmt: skip
        return joined_files(asks, self.files, self.wanted, kinds, count=count, keys=keys, packed=packed)

    def _asks(self, count: int) -> tuple[DataFrame, np.ndarray | None]:
        """The asks in blobs, and the hashes of their keys if they are few."""
        few, names = self.keys and self.frame.rows <= FEW, [f"k{n}" for n in range(len(self.keys))]
        table = self._at_the_driver()
        if table is not None:
            made = list(cut(table.to_batches(), ASKS, len(self.keys), count, 0))
            asks = self.frame.spark.createDataFrame(pa.Table.from_batches(made, BLOBS))
        else:
            schema, pairs = self.frame.schema, list(zip(self.keys, self.kinds, strict=True))
            keys = [keyed(name, schema[name].dataType, kind).alias(f"k{n}") for n, (name, kind) in enumerate(pairs)]
            rows = self.frame.narrow(self.keys).select(*keys, TIME, ROW)
            asks = asked_blobs(rows, len(keys), count)
            table = rows.select(*names).dropna().toArrow() if few else None
        return asks, np.unique(hashes([table[name] for name in names])) if few and table is not None else None

    def _at_the_driver(self) -> pa.Table | None:
        """The asks whose keys are not null, where the frame's columns are as they meet the source's; None elsewhere."""
        given = self.frame.given
        if given is None:
            return None
        columns = {}
        for n, (name, kind) in enumerate(zip(self.keys, self.kinds, strict=True)):
            held = given[name].type
            if not (pa.types.is_integer(held) or (kind == "string" and pa.types.is_string(held))):
                return None
            columns[f"k{n}"] = given[name].cast(pa.int64() if kind == "bigint" else pa.string())
        columns[TIME] = given[self.frame.time].cast(pa.int64())
        columns[ROW] = pa.array(np.arange(len(given)))
        table = pa.table(columns)
        return table.filter(reduce(pc.and_, [pc.is_valid(table[f"k{n}"]) for n in range(len(self.keys))])) if self.keys else table  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """Asof views of one entity, computed by the machinery of `asof frame`."""

    frame: EntityFrame
    settings: Settings
    group: EntityViews
    keys: tuple[str, ...]
    names: Mapping[str, str]
    """From the columns of the result to `view__feature`."""

    def answers(self) -> DataFrame:
        """As `Part` says."""
        from jobs.frame import answers  # noqa: PLC0415 - imports the engine, which only Asof views need

        frame = self.frame
        found = answers(
            _own(frame.spark), self.settings, self.group, self._asks(), earliest=frame.earliest, latest=frame.latest, rows=frame.rows
        )  # fmt: skip
        kinds = dict(found.dtypes)
        # As in the published tables' source: Feast's timestamps keep only seconds, so instants are microseconds.
        columns = [
            (F.unix_micros(held) if kinds[held] == "timestamp" else F.col(held)).alias(name) for name, held in self.names.items()
        ]  # fmt: skip
        return found.select(ROW, *columns)

    def collected(self) -> pa.Table:
        """As `Part` says."""
        from jobs.frame import collected  # noqa: PLC0415 - as above

        frame = self.frame
        found = collected(
            _own(frame.spark), self.settings, self.group, self._asks().toArrow(), earliest=frame.earliest, latest=frame.latest
        )  # fmt: skip
        columns = {name: found[held] for name, held in self.names.items()}
        columns = {name: column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for name, column in columns.items()}  # fmt: skip
        return pa.table({ROW: found[ROW], **columns})

    def _asks(self) -> DataFrame:
        frame, entity, keys = self.frame, self.group.views[0].entity, list[Column]()
        wanted = "string" if entity.type == "string" else "bigint"
        for n, name in enumerate(self.keys):
            kind = frame.schema[name].dataType
            if not isinstance(kind, IntegralType | NullType) and not (
                wanted == "string" and isinstance(kind, StringType)
            ):
                msg = f"The entity frame: key {name} is {kind.simpleString()}, its entity has {entity.type}. Write the column as {entity.type}."
                raise InputError(msg)
            keys.append(F.col(f"`{name}`").cast(wanted).alias(f"k{n}"))
        fields = self.group.request
        brought = [self._brought(name).alias(column) for column, name in fields.items()]
        return frame.narrow(list(dict.fromkeys([*self.keys, *fields.values()]))).select(*keys, TIME, ROW, *brought)

    def _brought(self, name: str) -> Column:
        """A request field, as asks have it."""
        if name not in self.frame.schema.names:
            needed = ", ".join(dict.fromkeys(self.group.request.values()))
            msg = f"The entity frame has no column {name}, a request field of {self.names_of_views}. It needs {needed}."
            raise MissingError(msg)
        kind, found = request_fields(self.group.views)[name], self.frame.schema[name].dataType
        if not isinstance(found, (*_FITTING[kind], NullType)) and not (kind == "int64" and self._is_whole(name)):
            msg = f"The entity frame: request field {name} is {found.simpleString()}, its source has {kind}. Write the column as {kind}."
            raise InputError(msg)
        column = F.col(f"`{name}`")
        if isinstance(found, TimestampType):
            return F.unix_micros(column)
        return column.cast(passed(kind))

    def _is_whole(self, name: str) -> bool:
        """Whether a column of a pandas frame has floats for nothing but its nulls, as pandas makes them of integers."""
        given = self.frame.given
        if given is None or not pa.types.is_floating(given[name].type):
            return False
        return bool(pc.all(pc.equal(pc.floor(given[name]), given[name])).as_py() in (True, None))

    @property
    def names_of_views(self) -> str:
        """Of those that have request fields."""
        return ", ".join(view.name for view in self.group.views if view.request)


_FITTING: dict[ColumnType, tuple[type[DataType], ...]] = {
    "string": (StringType,), "int64": (IntegralType,), "float64": (FractionalType, IntegralType), "bool": (BooleanType,), "timestamp": (TimestampType,),
}  # fmt: skip


def _own(spark: SparkSession) -> SparkSession:
    """The session, or a new one beside it on the same tables, where a setting differs on which values depend: the person's stays as it is."""
    wanted = {
        name: value
        for name, value in CORRECTNESS.items()
        if name.startswith("spark.sql.") and spark.conf.isModifiable(name)
    }
    if all(spark.conf.get(name, None) == value for name, value in wanted.items()):
        return spark
    made = spark.newSession()
    for name, value in wanted.items():
        made.conf.set(name, value)
    return made
