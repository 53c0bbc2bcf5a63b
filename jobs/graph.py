"""`asof graph`: the sources that are derived from graphs, brought up to a cut. Again is harmless; what has changed since is derived anew."""

from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.durations import DAY
from features.definitions.graphs import Graph, graphs_of
from features.definitions.names import micros, utc
from features.settings import Settings
from jobs import ledger
from jobs.attempts import root
from jobs.audits import day_start
from jobs.commands import Graphs
from jobs.files import folders, make_folder, remove_folder
from jobs.graph_driver import derived_here, land
from jobs.graph_rows import component_rows, edges, exposure_rows, link_rows, links
from jobs.graph_state import first_changed, record
from jobs.ingest import ingest
from jobs.known import refuse_gaps
from jobs.session import spark as session
from jobs.spark_errors import translated
from jobs.stages import say, stage_views

__all__ = ["derive", "run"]


def run(command: Graphs, settings: Settings) -> int:
    """Derives what the views of a cut read of graphs; starts no Spark where they read of none, or all is there."""
    _, views, cut = stage_views(command, settings)
    graphs = graphs_of(source for view in views for source in view.sources)
    if not graphs:
        say("No view of this cut reads of a graph.")
        return 0
    stale = [graph for graph in graphs if first_changed(settings, graph, cut)[0] is not None]
    for graph in graphs:
        if graph not in stale:
            say(f"{graph.name}: nothing has changed since it was derived.")
    if stale:
        spark = session(settings, "graph")
        for graph in stale:
            derive(spark, settings, graph, cut)
    return 0


def derive(spark: SparkSession, settings: Settings, graph: Graph, before: int) -> tuple[str, ...]:
    """Brings a graph's sources up to an instant, microseconds UTC; gives the days that were written.

    A day is written anew where its own sources, or those of a day before it, are not what they were: ingested anew, held or released. It and all
    later days are then derived, so that a partition is always a function of what is known by its end.

    Raises:
        MissingError: a day of a source of the graph is missing.
        AsofError: what Spark could not read or write; the log that it names has Spark's own words.
    """
    with translated(settings.logs):
        return _derived(spark, settings, graph, before)


def _derived(spark: SparkSession, settings: Settings, graph: Graph, before: int) -> tuple[str, ...]:
    first, days = first_changed(settings, graph, before)
    if first is None:
        return ()
    end, since = day_start(max(days)) + DAY, day_start(first)
    for source in graph.reads:
        refuse_gaps(source, ledger.partitions(settings, source.ingested_by), end)
    place = _place(settings, graph)
    written = tuple(day for day in sorted(days) if day >= first)
    few = derived_here(spark, settings, graph, before=end, since=since)
    if few is None:
        count = _land_by_spark(spark, settings, graph, place, end, written)
    else:
        count = few.edges
        for source in graph.sources:
            land(few.rows[source.name], f"{place}/{source.name}", written)
    for source in graph.sources:
        ingest(spark, settings, source, f"{place}/{source.name}")
    record(settings, graph, days)
    remove_folder(place)
    say(f"{graph.name}: {count} edges known before {utc(end).date()}; derived {written[0]} … {written[-1]}.")
    return written


def _place(settings: Settings, graph: Graph) -> str:
    """A folder of a derivation's own, called by the instant; those of a day before are of killed ones, and go."""
    now, parent = micros(settings.now()), f"{root(settings)}/graphs/{graph.name}"
    for name in folders(parent):
        begun = name.partition("-")[0]
        if not begun.isdigit() or int(begun) < now - DAY:
            remove_folder(f"{parent}/{name}")
    return f"{parent}/{now}-{uuid4().hex[:12]}"


def _land_by_spark(
    spark: SparkSession, settings: Settings, graph: Graph, place: str, end: int, days: tuple[str, ...]
) -> int:
    """The rows of a graph's sources on some days, derived by Spark; gives how many edges there are."""
    since = day_start(days[0])
    edges(spark, settings, graph, end).write.mode("overwrite").parquet(f"{place}/edges")
    made = spark.read.parquet(f"{place}/edges")
    links(graph, made).write.mode("overwrite").parquet(f"{place}/links")
    linked = spark.read.parquet(f"{place}/links")
    parts = {
        graph.links: link_rows(graph, linked, end),
        graph.components: component_rows(graph, made, before=end, since=since),
    }
    if graph.marks:
        parts[graph.exposures] = exposure_rows(spark, settings, graph, linked, end)
    for source, rows in parts.items():
        _land(rows, f"{place}/{source.name}", since, days)
    return made.count()


def _land(rows: DataFrame, place: str, since: int, days: tuple[str, ...]) -> None:
    """Rows of the days in folders of their own, as a source system would deliver them; a folder for a day without rows too."""
    own = rows.where(F.unix_micros("known_at") >= since).withColumn("ds", F.date_format("known_at", "yyyy-MM-dd"))
    own.repartition("ds").write.mode("overwrite").partitionBy("ds").parquet(place)
    empty = own.drop("ds").schema
    spark = rows.sparkSession
    spark.createDataFrame([], empty).coalesce(1).write.mode("overwrite").parquet(f"{place}/ds={days[0]}/none")
    for day in days:
        make_folder(f"{place}/ds={day}")
