"""What `asof graph` derives: edges, links, exposures and components of a graph as rows of its sources, in Spark. Equi-joins and windows; no inequality join."""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.definitions.graphs import Graph, Relation
from features.definitions.sources import Source
from features.errors import InputError
from features.settings import Settings
from features.values.components import Edges, grown
from features.values.expressions import mask
from features.values.versions import ADD, RETRACT
from jobs.known import known_rows
from jobs.rows import passed
from jobs.tables import HIVE_TYPES

__all__ = ["component_rows", "edges", "exposure_rows", "link_rows", "links"]

_FOREVER = 2**63 - 1
_EDGE = ("relation", "subject", "node")
_HASHED = pa.schema(
    [
        ("known", pa.int64()),
        ("subject", pa.int64()),
        ("node", pa.int64()),
        ("joins", pa.bool_()),
        ("entity", pa.bool_()),
    ]
)
_GROWN = "asof_node bigint, known bigint, entities bigint, entities_added bigint, nodes bigint, nodes_added bigint"


def edges(spark: SparkSession, settings: Settings, graph: Graph, before: int) -> DataFrame:
    """Each edge once: relation, subject, node (ids as text; of a relation within one kind the lesser is the subject), known (microseconds, < before).

    A row that names an entity twice, a loop, makes no edge.
    """
    parts = []
    for relation in graph.relations:
        for source in relation.sources:
            (key,) = source.key_columns(graph.entity.name, graph.entity.keys)
            rows = _counting(spark, settings, source, before, (key, relation.to)).where(F.col("asof_op") == ADD)
            ends = F.col(key).cast("string"), F.col(relation.to).cast("string")
            parts.append(
                rows.select(F.lit(relation.name).alias("relation"), *_ordered(relation, *ends), _since(source))
            )
    found = reduce(DataFrame.unionByName, parts).dropna(subset=["subject", "node"]).where(F.col("known") < before)
    loops = [F.col("relation") == relation.name for relation in graph.relations if relation.same]
    if loops:
        found = found.where(~(reduce(Column.__or__, loops) & (F.col("subject") == F.col("node"))))
    return found.groupBy(*_EDGE).agg(F.min("known").alias("known"))


def _ordered(relation: Relation, subject: Column, node: Column) -> tuple[Column, Column]:
    if relation.same:
        subject, node = (
            F.least(subject, node),
            F.when(subject.isNull() | node.isNull(), None).otherwise(F.greatest(subject, node)),
        )
    return subject.alias("subject"), node.alias("node")


def _since(source: Source) -> Column:
    """When a row counts, as `known`: a lag delays it."""
    if not source.lag_us:
        return F.col("asof_known").alias("known")
    return F.greatest("asof_known", F.unix_micros(source.event_time) + F.lit(source.lag_us)).alias("known")


def _counting(
    spark: SparkSession, settings: Settings, source: Source, before: int, columns: tuple[str, ...]
) -> DataFrame:
    """A source's known rows that meet its filter; the filter is evaluated as everywhere, not by Spark."""
    rows = known_rows(spark, settings, source, before=before)
    if source.filter is None:
        return rows
    kinds = {name: passed(kind) for name, kind in source.types.items()}
    shown = rows.select(
        *(_plain(source, name).alias(name) for name in source.types), "asof_known", "asof_undoes", "asof_op"
    )
    keep = sorted({*columns, source.event_time, *((source.event_id,) if source.event_id else ())})
    schema = ", ".join(f"`{name}` {kinds[name]}" for name in keep)
    made = shown.mapInArrow(
        _filtering(source, keep), f"{schema}, asof_known bigint, asof_undoes bigint, asof_op string"
    )
    return made.withColumn(source.event_time, F.timestamp_micros(source.event_time))


def _plain(source: Source, name: str) -> Column:
    return F.unix_micros(name) if source.types[name] == "timestamp" else F.col(name)


def _filtering(source: Source, keep: list[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    where, times = source.filter, [name for name, kind in source.types.items() if kind == "timestamp"]

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            typed = columns | {name: columns[name].cast(pa.timestamp("us", "UTC")) for name in times}
            rows = batch.select([*keep, "asof_known", "asof_undoes", "asof_op"])
            yield rows.filter(pa.array(mask(where, typed, len(batch))))

    return work


def _around(graph: Graph, made: DataFrame) -> DataFrame:
    """Both directions of each edge along which a link can go: relation, middle (a node), subject, known."""
    own = made.select("relation", F.col("node").alias("middle"), "subject", "known")
    same = [relation.name for relation in graph.relations if relation.same]
    if not same:
        return own
    back = made.where(F.col("relation").isin(same))
    return own.unionByName(
        back.select("relation", F.col("subject").alias("middle"), F.col("node").alias("subject"), "known")
    )


def _hubs(graph: Graph) -> Column:
    """The hub of a row's relation."""
    pairs = [part for relation in graph.relations for part in (F.lit(relation.name), F.lit(relation.hub))]
    return F.create_map(*pairs)[F.col("relation")]


def links(graph: Graph, made: DataFrame) -> DataFrame:
    """Pairs of entities: relation, middle, subject, other, since, until (known from since on to before until, each exclusive at a cut)."""
    around = _around(graph, made)
    order = Window.partitionBy("relation", "middle").orderBy("known", "subject")
    ranked = around.withColumn("place", F.row_number().over(order)).where(F.col("place") <= _hubs(graph) + 1)
    whole = Window.partitionBy("relation", "middle")
    ended = F.coalesce(F.max(F.when(F.col("place") == _hubs(graph) + 1, F.col("known"))).over(whole), F.lit(_FOREVER))
    linking = ranked.withColumn("until", ended).where(F.col("place") <= _hubs(graph))
    there = linking.select("relation", "middle", F.col("subject").alias("other"), F.col("known").alias("other_known"))
    through = (
        linking.join(there, ["relation", "middle"])
        .where(F.col("subject") != F.col("other"))
        .withColumn("since", F.greatest("known", "other_known"))
        .where(F.col("since") < F.col("until"))
        .select("relation", "middle", "subject", "other", "since", "until")
    )
    same = [relation.name for relation in graph.relations if relation.same]
    if not same:
        return through
    direct = around.where(F.col("relation").isin(same))
    return through.unionByName(
        direct.select(
            "relation", F.lit(None).cast("string").alias("middle"), "subject", F.col("middle").alias("other"),
            F.col("known").alias("since"), F.lit(_FOREVER).alias("until"),
        )
    )  # fmt: skip


def link_rows(graph: Graph, linked: DataFrame, before: int) -> DataFrame:
    """Rows of `graph.links`, both versions of each link that ended, known before an instant."""
    found = linked.withColumn("row_id", _joined("relation", "middle", "subject", "other"))
    return _versions(graph, graph.links, found, before)


def exposure_rows(spark: SparkSession, settings: Settings, graph: Graph, linked: DataFrame, before: int) -> DataFrame:
    """Rows of `graph.exposures`, known before an instant."""
    marks = reduce(DataFrame.unionByName, [_marks(spark, settings, graph, source, before) for source in graph.marks])
    found = (
        linked.join(marks, "other")
        .withColumn("row_id", _joined("relation", "middle", "subject", "other", "mark"))
        .withColumn("since", F.greatest("since", "marked"))
        .withColumn("until", F.least("until", "unmarked"))
        .where(F.col("since") < F.col("until"))
    )
    return _versions(graph, graph.exposures, found, before)


def _marks(spark: SparkSession, settings: Settings, graph: Graph, source: Source, before: int) -> DataFrame:
    """From when until when a row marks an entity: other, mark, marked, unmarked."""
    (key,) = source.key_columns(graph.entity.name, graph.entity.keys)
    rows = _counting(spark, settings, source, before, (key,))
    event = F.col(source.event_id).cast("string") if source.event_id else F.lit(None).cast("string")
    added = rows.where(F.col("asof_op") == ADD).select(
        event.alias("event"), F.col("asof_known").alias("at"), F.col(key).cast("string").alias("other"), _since(source)
    )
    taken = rows.where(F.col("asof_op") == RETRACT).select(
        event.alias("event"), F.col("asof_undoes").alias("at"), F.col("asof_known").alias("ended")
    )
    mark = _joined(F.lit(source.name), "event", F.col("at").cast("string"))
    return (
        added.join(taken, ["event", "at"], "left")
        .dropna(subset=["other"])
        .groupBy("other", mark.alias("mark"), F.col("known").alias("marked"))
        .agg(F.coalesce(F.max("ended"), F.lit(_FOREVER)).alias("unmarked"))
        .where(F.col("marked") < F.col("unmarked"))
    )


def _joined(*parts: str | Column) -> Column:
    """Texts as one that no others give: each with its length before it."""
    columns = [F.col(part) if isinstance(part, str) else part for part in parts]
    return F.concat(*(F.coalesce(F.concat(F.length(c).cast("string"), F.lit(":"), c), F.lit("-")) for c in columns))


def _versions(graph: Graph, source: Source, found: DataFrame, before: int) -> DataFrame:
    """Version 0 of each row from since on; a void of it from until on."""
    kind = HIVE_TYPES[graph.entity.type]
    at = F.explode(
        F.array(
            F.struct(F.lit(0).alias("version"), F.col("since").alias("at")),
            F.struct(F.lit(1).alias("version"), F.col("until").alias("at")),
        )
    )
    rows = found.select("*", at.alias("told")).where(F.col("told.at") < before)
    return rows.select(
        "row_id", F.col("subject").cast(kind).alias(graph.key), F.col("other").cast(kind).alias("other"), "relation", F.col("middle").alias("node"),
        F.col("told.version").cast("bigint").alias("version"), (F.col("told.version") == 1).alias("voided"),
        F.timestamp_micros("since").alias("event_time"), F.timestamp_micros("told.at").alias("known_at"),
    ).select(*(column.name for column in source.columns))  # fmt: skip


def component_rows(graph: Graph, made: DataFrame, *, before: int, since: int) -> DataFrame:
    """Rows of `graph.components` known before an instant, those of the cuts after `since`.

    One task goes through all edges in order: 42 bytes an edge and 100 a node; the ids stay with Spark.

    Raises:
        InputError: two nodes have one hash by each seed that was tried.
    """
    ended = _joining(graph, made)
    seed, nodes = _numbered(graph, ended)
    number = {
        name: _hash(seed, kind, name) for name, kind in (("subject", F.lit(graph.entity.name)), ("node", _kind(graph)))
    }
    rows = ended.select(
        "known", number["subject"].alias("subject"), number["node"].alias("node"), "joins", _same(graph).alias("entity")
    )
    period, phase = graph.schedule.period_us, graph.schedule.phase_us

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for growth in grown(_edges(batches), period=period, phase=phase, since=since):
            names = ("known", "entities", "entities_added", "nodes", "nodes_added")
            yield pa.RecordBatch.from_pydict(
                {"asof_node": growth.node, **{name: getattr(growth, name) for name in names}}
            )

    told = rows.coalesce(1).mapInArrow(work, _GROWN).where(F.col("known") < before)
    entities = nodes.where(F.col("kind") == graph.entity.name).select(F.col("hash").alias("asof_node"), "id")
    key = F.col("id").cast(HIVE_TYPES[graph.entity.type])
    made_rows = told.join(entities, "asof_node").select(
        _joined("id", F.col("known").cast("string")).alias("row_id"), key.alias(graph.key), "entities", "entities_added", "nodes", "nodes_added",
        F.timestamp_micros("known").alias("event_time"), F.timestamp_micros("known").alias("known_at"),
    )  # fmt: skip
    return made_rows.select(*(column.name for column in graph.components.columns))


def _edges(batches: Iterable[pa.RecordBatch]) -> Edges:
    found = list(batches)
    table = pa.Table.from_batches(found) if found else _HASHED.empty_table()
    columns = (np.asarray(table[name].to_numpy()) for name in ("subject", "node", "known", "joins", "entity"))
    return Edges(*columns)


def _joining(graph: Graph, made: DataFrame) -> DataFrame:
    """Edges with `joins`: both ends had at most `hub` neighbours just before it."""
    kinds = F.lit(graph.entity.name), _kind(graph)
    halves = made.select(
        *_EDGE, "known",
        F.explode(F.array(*(F.struct(kind.alias("kind"), F.col(name).alias("end")) for kind, name in zip(kinds, ("subject", "node"), strict=True)))).alias("half"),
    )  # fmt: skip
    earlier = Window.partitionBy("relation", "half.kind", "half.end").orderBy("known", "subject", "node")
    ranked = halves.withColumn("before", F.row_number().over(earlier) - 1)
    return ranked.groupBy(*_EDGE, "known").agg((F.max("before") <= F.first(_hubs(graph))).alias("joins"))


def _same(graph: Graph) -> Column:
    return F.col("relation").isin([relation.name for relation in graph.relations if relation.same])


def _kind(graph: Graph) -> Column:
    """Of the node of an edge: the entity's, or the relation's own."""
    return F.when(_same(graph), F.lit(graph.entity.name)).otherwise(F.concat(F.lit("of "), F.col("relation")))


def _hash(seed: int, kind: Column, name: str) -> Column:
    return F.xxhash64(F.lit(seed), kind, F.col(name))


def _numbered(graph: Graph, made: DataFrame, tries: int = 5) -> tuple[int, DataFrame]:
    """A seed by which no two nodes have one hash, and the nodes: kind, id, hash."""
    ends = made.select(F.lit(graph.entity.name).alias("kind"), F.col("subject").alias("id")).unionByName(
        made.select(_kind(graph).alias("kind"), F.col("node").alias("id"))
    )
    nodes = ends.distinct()
    for seed in range(tries):
        numbered = nodes.withColumn("hash", _hash(seed, F.col("kind"), "id"))
        if not numbered.groupBy("hash").count().where(F.col("count") > 1).take(1):
            return seed, numbered
    msg = f"Graph {graph.name!r}: two of its nodes have one 64-bit hash by each of {tries} seeds. That does not happen by chance: look at its edges."
    raise InputError(msg)
