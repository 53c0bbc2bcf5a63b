"""`asof materialize`: the published values and states of a cut go to the online store, all views in one Spark application; then Feast is told."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.definitions.names import STATE, cut_text, micros, view_table
from features.definitions.views import FeatureView
from features.errors import AsofError, MissingError
from features.settings import Settings
from features.store.heads import Head, Layout, Loaded, refuse_early
from features.store.redis_parts import finish_part
from features.store.redis_rows import Load, remove_rows, write_rows
from features.store.redis_states import remove_states, write_states
from features.store.redis_store import RedisStore
from features.store.sqlite_store import SqliteStore
from features.store.stores import open_store, redis_url
from features.values.sweep import ARROW_TYPES
from jobs.commands import Exit, Materialize
from jobs.files import bytes_of, parquet_files, parquet_table, read_files, rows_of
from jobs.load_parts import Parts, files_behind, number_of, total
from jobs.stages import say, side_by_side, stage_views
from jobs.tails import trim_tail

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from features.feast.registry import Watermarks

    Rows: TypeAlias = DataFrame | pa.Table
    Published: TypeAlias = Callable[[int], Rows]
    """Rows of a cut; a table where they are few."""

__all__ = ["load_view", "run"]

_SPARK_TYPES = {
    "string": "string", "int64": "bigint", "float64": "double", "bool": "boolean", "timestamp": "timestamp",
}  # fmt: skip
_REGISTRY = Lock()
"""Feast's registry is read, changed and written as a whole."""
_KEYS_IN_DRIVER = 2_000_000
"""Of so many keys the driver itself finds those that a cut no longer has."""
_ROWS_IN_DRIVER = 200_000
"""What one slice on its way into SQLite may hold at most, on average."""


def run(command: Materialize, settings: Settings) -> int:
    """Loads every view whose cut is published; one sentence a view.

    Raises:
        InputError: the instant is no cut of the views.
        MissingError: a view is unknown, Feast's registry does not have it, or its published table lacks a column.
        BusyError: a cut of plain values is not valid yet, or the store, registry or disk does not answer. The values served before stay.
    """
    catalog, views, cut = stage_views(command, settings)
    for view in views:
        if view.served:  # a state waits in the store for its valid_from
            refuse_early(Layout.of(view, cut), micros(settings.now()))
    from jobs import tables  # noqa: PLC0415 - Spark costs seconds; a refused command does not pay them
    from jobs.session import spark  # noqa: PLC0415

    with ThreadPoolExecutor(max_workers=1) as other:
        # Feast's import takes seconds too, and runs while Spark starts.
        found = other.submit(_watermarks, settings, views)
        session = spark(settings, "materialize")
        places = side_by_side(
            lambda view: tables.location(session, view_table(view), "cut", cut_text(cut)), views
        )  # fmt: skip
        watermarks = found.result()

    def load(view: FeatureView, place: str | None) -> None:
        if place is None:
            say(
                f"{view.name}: cut {cut_text(cut)} is not published (held, or not computed yet); the store keeps what it has."
            )
            return
        published = partial(_published, session, settings, view, {cut: place})
        _load(settings, catalog, watermarks, view, cut, published, partial(tables.published_cuts, session, view))

    pairs = list(zip(views, places, strict=True))
    if settings.online.kind == "sqlite":  # it has one writer at a time
        for pair in pairs:
            load(*pair)
    else:
        side_by_side(lambda pair: load(*pair), pairs)
    return Exit.OK


def _published(
    spark: "SparkSession", settings: Settings, view: FeatureView, places: Mapping[int, str], cut: int
) -> "Rows":
    """The published rows of a cut; `places` has folders that are known already."""
    from jobs import tables  # noqa: PLC0415 - as above

    place = places.get(cut) or tables.location(spark, view_table(view), "cut", cut_text(cut))
    files = [] if place is None else parquet_files(place)
    if not files or bytes_of(files) >= settings.spark.few_bytes:
        return tables.published(spark, view, cut)
    return pa.concat_tables(map(parquet_table, files))


def _watermarks(settings: Settings, views: Iterable[FeatureView]) -> "Watermarks":
    from features.feast.light import import_feast  # noqa: PLC0415 - as above

    import_feast()
    from features.feast.registry import Watermarks  # noqa: PLC0415

    watermarks = Watermarks(settings)
    for view in views:
        watermarks.require(view.name)
    return watermarks


def _load(
    settings: Settings,
    catalog: Catalog,
    watermarks: "Watermarks",
    view: FeatureView,
    cut: int,
    published: "Published",
    cuts: Callable[[], Iterable[int]],
) -> None:
    started = time.monotonic()
    done = load_view(settings, view, cut, published, cuts)
    if view.stateful:
        trim_tail(settings, catalog, view)
    if done.head.cut == cut and view.served:
        with _REGISTRY:
            watermarks.record(view.name, cut=cut, valid_from=done.head.valid_from)
    seconds = time.monotonic() - started
    say(
        done.sentence
        or f"{view.name}: cut {cut_text(cut)}: {done.written - done.already} keys written, {done.removed} removed, {seconds:.1f} s."
        + (f" {done.already} keys were there already, from a load that was killed." if done.already else "")
    )


def load_view(
    settings: Settings,
    view: FeatureView,
    cut: int,
    published: "Published",
    published_cuts: Callable[[], Iterable[int]],
) -> Loaded:
    """Puts one published cut (microseconds UTC) of a view into the online store; `published` gives the rows of any of `published_cuts`, which Redis asks for.

    Raises:
        MissingError: the table lacks a column of the definition.
        BusyError: the cut is not valid yet, or the store or disk does not answer. The values served before stay.
        AsofError: not all rows arrived.
    """
    layout, now = Layout.of(view, cut), micros(settings.now())
    store = open_store(settings, writable=True)
    try:
        if isinstance(store, SqliteStore):
            return _into_sqlite(store, layout, published, now)
        into = _states_into_redis if layout.stateful else _into_redis
        return into(store, redis_url(settings), layout, published, now, frozenset(published_cuts()))
    finally:
        store.close()


def _into_sqlite(store: SqliteStore, layout: Layout, published: "Published", now: int) -> Loaded:
    return store.load(layout, _batches(layout, lambda: _typed(published(layout.cut), layout)), now)


def _batches(layout: Layout, rows: "Callable[[], Rows]") -> Iterator[pa.RecordBatch]:
    """Through the driver, in slices of keys: asked for only once the store knows that a load is due."""
    from pyspark.sql import DataFrame  # noqa: PLC0415 - a second, and only where Spark runs already
    from pyspark.sql import functions as f  # noqa: PLC0415 - the same

    from jobs.tables import files_of  # noqa: PLC0415 - the same

    frame = rows()
    if not isinstance(frame, DataFrame):
        yield from frame.combine_chunks().to_batches()
        return
    slices = rows_of(files_of(frame)) // _ROWS_IN_DRIVER + 1
    for number in range(slices):
        some = frame if slices == 1 else frame.where(f.pmod(f.xxhash64(*layout.keys), f.lit(slices)) == number)
        yield from some.toArrow().combine_chunks().to_batches()


def _into_redis(
    store: RedisStore,
    url: str,
    layout: Layout,
    published: "Published",
    now: int,
    there: frozenset[int],
) -> Loaded:
    with store.loading(layout, now) as load:
        if load.settled is not None:
            return load.settled
        rows = _typed(published(layout.cut), layout)
        parts = Parts(rows, _schema(layout))
        done = load.begin(parts.stand_for)
        task = load.task
        finish = partial(finish_part, url, layout.view, task.token)
        written = parts.write(lambda batches: write_rows(url, task, batches), done, finish)
        _refuse_lost(layout, written, number_of(rows))
        ended = load.end(written=written, removed=_remove(load, url, rows, published, there))
        return replace(ended, already=sum(done.values()))


def _states_into_redis(
    store: RedisStore,
    url: str,
    layout: Layout,
    published: "Published",
    now: int,
    there: frozenset[int],
) -> Loaded:
    with store.loading_states(layout, now) as load:
        if load.settled is not None:
            return load.settled
        rows = _typed(published(layout.cut), layout)
        parts = Parts(rows, _schema(layout))
        done = load.begin(parts.stand_for)
        number, token = load.generation, load.token
        finish = partial(finish_part, url, layout.view, token)
        written = parts.write(lambda batches: write_states(url, layout, number, token, batches), done, finish)
        _refuse_lost(layout, written, number_of(rows))
        load.show(written)

        def remove(head: Head) -> int:
            if head.definition != layout.definition or head.cut not in there:
                return load.remove_by_scan(head.generation)
            gone = head.generation  # not the head itself: it would travel to Spark's tasks
            return total(
                _keys(published(head.cut), layout), lambda batches: remove_states(url, layout, gone, token, batches)
            )

        return replace(load.end(remove), already=sum(done.values()))


def _refuse_lost(layout: Layout, written: int, expected: int) -> None:
    if written != expected:
        msg = (
            f"{layout.view}: {written} of {expected} keys of cut {cut_text(layout.cut)} were counted into Redis. "
            "The head record was not changed; run the same command again."
        )
        raise AsofError(msg)


def _remove(load: Load, url: str, rows: "Rows", published: "Published", there: frozenset[int]) -> int:
    """Keys that a cut loaded or begun before has and this one lacks."""
    layout, cuts, task = load.layout, load.cuts_before, load.task
    if cuts is None or not there.issuperset(cuts):
        return load.remove_by_scan()
    if not cuts:
        return 0
    dropped = _without([_keys(published(cut), layout) for cut in cuts], _keys(rows, layout), list(layout.keys))
    return total(dropped, lambda batches: remove_rows(url, task, batches))


def _keys(rows: "Rows", layout: Layout) -> "Rows":
    """The key columns; in this process where there are not too many."""
    from pyspark.sql import DataFrame  # noqa: PLC0415 - as above

    files = files_behind(rows) if isinstance(rows, DataFrame) else []
    if not files or rows_of(files) > _KEYS_IN_DRIVER:
        return rows.select(list(layout.keys))
    kind = ARROW_TYPES["string" if layout.key_type == "string" else "int64"]
    return read_files(files, pa.schema([(name, kind) for name in layout.keys]))


def _without(before: "Sequence[Rows]", rows: "Rows", keys: list[str]) -> "Rows":
    """Keys of the first that the second lacks, each once; in this process where all are here."""
    from pyspark.sql import DataFrame  # noqa: PLC0415 - as above

    frames = [each for each in (*before, rows) if isinstance(each, DataFrame)]
    if not frames:
        return pa.concat_tables(before).group_by(keys).aggregate([]).join(rows, keys, join_type="left anti")
    spark = frames[0].sparkSession
    given, here = [
        [each if isinstance(each, DataFrame) else spark.createDataFrame(each) for each in some]
        for some in (before, [rows])
    ]
    return reduce(lambda left, right: left.union(right), given).distinct().join(here[0], keys, "left_anti")


def _schema(layout: Layout) -> pa.Schema:
    """Of the rows that are written."""
    kinds = {**dict.fromkeys(layout.keys, layout.key_type), **dict(layout.features)}
    made = [(name, ARROW_TYPES[kind]) for name, kind in kinds.items()]
    return pa.schema(made + ([(STATE, pa.binary())] if layout.stateful else []))


def _typed(rows: "Rows", layout: Layout) -> "Rows":
    """The columns of the layout.

    Raises:
        MissingError: one of them is not there, or of another type.
    """
    from pyspark.sql import DataFrame  # noqa: PLC0415 - as above

    kinds = {**dict.fromkeys(layout.keys, layout.key_type), **dict(layout.features)}
    many = isinstance(rows, DataFrame)
    types: Mapping[str, Any] = _SPARK_TYPES if many else ARROW_TYPES
    there = (
        dict(rows.dtypes)
        if isinstance(rows, DataFrame)
        else dict(zip(rows.schema.names, rows.schema.types, strict=True))
    )
    wanted = {name: types[kind] for name, kind in kinds.items()}
    wanted |= {STATE: "binary" if many else pa.binary()} if layout.stateful else {}
    wrong = [
        f"{name} ({there.get(name, 'missing')}, needed {kind})"
        for name, kind in wanted.items()
        if there.get(name) != kind
    ]
    if wrong:
        msg = (
            f"The published cut {cut_text(layout.cut)} of {view_table(layout.view)} does not have the columns of its definition: "
            f"{', '.join(wrong)}. It was published by another definition: compute and publish the cut again."
        )
        raise MissingError(msg)
    return rows.select(list(wanted))
