"""What one retrieval gives: the entity frame's rows, each once and in their order, with the columns that its parts answered. No Feast.

A part answers some of the columns by `asof_row`. In an Arrow table the answers are put in their rows' places; in a DataFrame they are joined by that number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.catalog import load_catalog
from features.definitions.compiled import hash_of
from features.definitions.names import status_column
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.settings import Settings
from features.store.heads import STATUS
from features.values.partition import entity_views
from jobs.answering import Computed, Filed, Joined, Part
from jobs.feast_frames import EntityFrame
from jobs.feast_sources import Span, within, zoned
from jobs.joining import Side, key_kind, keyed, micros_of
from jobs.joining_files import Wanted, files_of
from jobs.pit import CREATED, ROW, TIME
from jobs.stages import side_by_side

__all__ = ["Asked", "Pulled", "Retrieval", "Stored", "defined", "ranged", "retrieval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where the rows of a view are, and how they are called there."""

    source: Any
    """Feast's SparkSource."""

    rows: DataFrame
    time: str
    created: str | None
    keys: Mapping[str, str]
    """From each join key, as the entity frame calls it, to the source's column."""

    ttl_us: int
    """0: without end."""

    plain: bool
    """The rows are the source's own, not what a function made of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A view, and what is asked of it."""

    name: str
    keys: tuple[str, ...]
    """The entity frame's columns."""

    features: Mapping[str, str]
    """From the column's name in the result to the feature's in the view, or to the column's in its source where it is stored."""

    stored: Stored | None = None
    view: FeatureView | None = None
    """An Asof view: values as they could be known at each row's instant are computed from its sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Rows and columns as they were asked for; nothing is computed before it is taken."""

    frame: EntityFrame
    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    """Of the features, in the order of the result."""

    statuses: tuple[str, ...] = ()
    """Those that are Asof's statuses: no_key where a key column is null."""

    def table(self) -> pa.Table:
        """One row for each of the entity frame, in its order, each column in one piece; times are microseconds UTC."""
        asked, numbers = self.frame.collected()
        found = side_by_side(lambda part: _placed(part.collected(), numbers), self.parts)
        columns = {name: table[name] for table in found for name in table.column_names}
        for name in self.statuses:
            columns[name] = pc.fill_null(columns[name], "no_key")
        made = {name: asked[name] for name in asked.column_names} | {name: columns[name] for name in self.columns}
        return zoned(pa.table(made)).combine_chunks()

    def rows(self) -> DataFrame:
        """The same as a DataFrame, in no order."""
        made, given = self.frame.whole(), [F.col(f"`{name}`") for name in self.frame.schema.names]
        for n, part in enumerate(self.parts):
            number = f"{ROW}_{n}"
            found = part.answers().withColumnRenamed(ROW, number)
            made = made.join(found, made[ROW] == found[number], "left").drop(number)
        columns = [
            F.coalesce(f"`{name}`", F.lit("no_key")).alias(name) if name in self.statuses else F.col(f"`{name}`")
            for name in self.columns
        ]
        return made.select(*given, *columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Rows of a source, as they are."""

    held: DataFrame

    def rows(self) -> DataFrame:
        """The DataFrame."""
        return self.held

    def table(self) -> pa.Table:
        """Each column in one piece; times are microseconds UTC."""
        return zoned(self.held.toArrow()).combine_chunks()


def _placed(found: pa.Table, numbers: np.ndarray) -> pa.Table:
    """An answer a row, null where there is none."""
    rows = np.asarray(found[ROW].combine_chunks()).astype(np.int64, copy=False)
    dense = bool(len(numbers)) and int(numbers[-1]) == len(numbers) - 1
    places = np.full(len(numbers), -1, np.int64)
    places[rows if dense else np.searchsorted(numbers, rows)] = np.arange(len(rows))
    return found.drop_columns([ROW]).take(pa.array(places, mask=places < 0))


def retrieval(
    frame: EntityFrame, asked: Sequence[Asked], settings: Settings | None, columns: Sequence[str], *, known: bool
) -> Retrieval:
    """Plans a retrieval.

    Args:
        frame: the rows.
        asked: the views.
        settings: where Asof's tables are; None where no view is computed.
        columns: of the features, in the order of the result.
        known: of rows with a created timestamp only those count that were created by the asked instant.

    Raises:
        MissingError: the frame lacks a join key, or a source a column.
        InputError: a feature has the name of a column of the frame, or keys of two types can't meet.
    """
    for view in asked:
        if missing := [name for name in view.keys if name not in frame.schema.names]:
            msg = f"The entity frame has no column {', '.join(missing)}, a join key of view {view.name!r}. It has {', '.join(frame.schema.names)}."
            raise MissingError(msg)
    if same := [name for name in columns if name in frame.schema.names]:
        msg = f"The entity frame has the columns {', '.join(same)}, and so are features called. Rename them, or ask with full_feature_names=True."
        raise InputError(msg)
    statuses = [name for view in asked if view.view for name, held in view.features.items() if held == STATUS]
    stored = _stored(frame, [view for view in asked if view.view is None], known=known)
    computed = [] if settings is None else _computed(frame, [view for view in asked if view.view], settings)
    return Retrieval(
        frame=frame, parts=(*stored, *computed), columns=tuple(columns), statuses=tuple(statuses)
    )  # fmt: skip


def _stored(frame: EntityFrame, asked: Sequence[Asked], *, known: bool) -> list[Joined | Filed]:
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Side, dict[str, str]]]] = {}
    filed = list[Joined | Filed]()
    for n, view in enumerate(asked):
        stored = view.stored
        if stored is None:
            continue
        where, schema = f"View {view.name!r}", stored.rows.schema
        wanted = [
            *stored.keys.values(),
            stored.time,
            *view.features.values(),
            *([stored.created] if stored.created else []),
        ]
        if missing := [name for name in wanted if name not in schema.names]:
            msg = f"{where}: its source {stored.source.name!r} has no column {', '.join(missing)}. It has {', '.join(schema.names)}."
            raise MissingError(msg)
        kinds = tuple(
            key_kind(key, frame.schema[key].dataType, schema[held].dataType, where) for key, held in stored.keys.items()
        )
        keys = [
            keyed(held, schema[held].dataType, kind).alias(f"k{i}")
            for i, (held, kind) in enumerate(zip(stored.keys.values(), kinds, strict=True))
        ]
        times = [micros_of(stored.time, schema[stored.time].dataType, where).alias(TIME)]
        if stored.created:
            times.append(micros_of(stored.created, schema[stored.created].dataType, where).alias(CREATED))
        names = {f"v{n}_{i}": name for i, name in enumerate(view.features)}
        # Both ends of the ttl count; a row without an instant counts for nobody.
        span = Span(first=frame.earliest - stored.ttl_us if stored.ttl_us else None, last=frame.latest)
        of_known = known and stored.created is not None
        asked_for = Wanted(
            keys=dict(zip(stored.keys.values(), kinds, strict=True)), time=stored.time, created=stored.created,
            features=dict(zip(names, view.features.values(), strict=True)), ttl_us=stored.ttl_us, known=of_known, span=span,
        )  # fmt: skip
        files = files_of(stored.rows, stored.source, asked_for) if stored.plain else None
        if files is not None:
            filed.append(Filed(frame=frame, keys=view.keys, kinds=kinds, files=files, wanted=asked_for, rows=stored.rows, names=names))  # fmt: skip
            continue
        features = [F.col(f"`{held}`").alias(name) for name, held in zip(names, view.features.values(), strict=True)]
        rows = within(stored.rows, stored.source, stored.time, span).select(*keys, *times, *features)
        side = Side(rows=rows, ttl_us=stored.ttl_us, known=of_known)
        groups.setdefault((view.keys, kinds), []).append((side, names))
    return filed + [
        Joined(
            frame=frame, keys=keys, kinds=kinds, sides=tuple(side for side, _ in found),
            names={held: name for _, names in found for held, name in names.items()},
        )
        for (keys, kinds), found in groups.items()
    ]  # fmt: skip


def _computed(frame: EntityFrame, asked: Sequence[Asked], settings: Settings) -> list[Computed]:
    groups: dict[tuple[tuple[str, ...], str, int], list[Asked]] = {}
    seen: dict[tuple[tuple[str, ...], str], int] = {}
    for each in asked:
        if each.view is not None:
            turn = seen[each.keys, each.view.name] = seen.get((each.keys, each.view.name), -1) + 1
            groups.setdefault((each.keys, each.view.entity.name, turn), []).append(each)
    made = []
    for (keys, _, _), found in groups.items():
        views = [each.view for each in found if each.view is not None]
        (group,) = entity_views(views)
        names = {
            name: status_column(view) if held == STATUS else f"{view.name}__{held}"
            for each, view in zip(found, views, strict=True) for name, held in each.features.items()
        }  # fmt: skip
        made.append(Computed(frame=frame, settings=settings, group=group, keys=keys, names=names))
    return made


def defined(name: str, tagged: str, settings: Settings) -> FeatureView:
    """The catalogue's view, if it is the one that Feast's registry knows.

    Raises:
        MissingError: the catalogue has no such view.
        InputError: the registry has another definition of it.
    """
    view = load_catalog(settings.catalog).view(name)
    if (own := hash_of(view)) != tagged:
        msg = (
            f"View {name!r}: Feast's registry has the definition {tagged}, the catalogue {settings.catalog} has {own}. "
            "Run `asof apply`, or use the catalogue that was applied."
        )
        raise InputError(msg)
    return view


def ranged(spark: SparkSession, asked: Sequence[Asked], span: Span, time: str) -> DataFrame:
    """Each key and instant that any of the views has a row for in a span, once: the entity frame of who gives none. Keys that a view lacks are null."""
    names = list(dict.fromkeys(name for view in asked for name in view.keys))
    made: DataFrame | None = None
    for view in asked:
        stored = view.stored
        if stored is None:
            continue
        rows, schema = within(stored.rows, stored.source, stored.time, span), stored.rows.schema
        keys = [(F.col(f"`{stored.keys[name]}`") if name in stored.keys else F.lit(None)).alias(name) for name in names]
        instant = F.timestamp_micros(micros_of(stored.time, schema[stored.time].dataType, f"View {view.name!r}"))
        part = rows.select(*keys, instant.alias(time))
        made = part if made is None else made.unionByName(part)
    return spark.createDataFrame([], f"{time} timestamp") if made is None else made.distinct()
