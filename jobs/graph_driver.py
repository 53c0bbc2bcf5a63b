"""A graph of few rows, derived in this process: a Spark job of few rows takes longer than all that is done with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from features.definitions.durations import DAY
from features.definitions.graphs import Graph
from features.definitions.sources import Source
from features.settings import Settings
from features.values.graph_rows import component_rows, edges, exposure_rows, link_rows, links, marks, read_columns
from features.values.sweep import ARROW_TYPES
from features.values.versions import STORED_FIELDS
from jobs.audits import day_start
from jobs.files import bytes_of, write_rows
from jobs.known_files import known_files, known_table

__all__ = ["Derived", "derived_here", "land"]

_MOST = 1_000_000
"""Rows of a derived source that this process makes, at the most; see `features.values.graph_rows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What is derived from a graph: how many edges, and the rows of its sources by name."""

    edges: int
    rows: dict[str, pa.Table]


def derived_here(spark: SparkSession, settings: Settings, graph: Graph, *, before: int, since: int) -> Derived | None:
    """What of a graph is known before an instant, since another; None where the files that it reads have `spark.few_bytes` or more, or its rows are many.

    Raises:
        MissingError: a day of a source of the graph is missing.
    """
    files = {source.name: known_files(spark, settings, source, before=before) for source in graph.reads}
    if bytes_of({path for paths in files.values() for path in paths}) >= settings.spark.few_bytes:
        return None
    known = {
        source.name: known_table(spark, settings, source, _schema(graph, source), files[source.name], before=before)
        for source in graph.reads
    }
    made = edges(graph, known, before)
    linked, grown = links(graph, made, _MOST), component_rows(graph, made, since=since, most=_MOST)
    if linked is None or grown is None:
        return None
    rows = {graph.links.name: link_rows(graph, linked, before), graph.components.name: grown}
    if graph.marks:
        exposed = exposure_rows(graph, linked, marks(graph, known), before, _MOST)
        if exposed is None:
            return None
        rows[graph.exposures.name] = exposed
    return Derived(edges=len(made), rows=rows)


def _schema(graph: Graph, source: Source) -> pa.Schema:
    kinds = {name: ARROW_TYPES[kind] for name, kind in source.types.items()}
    own = {field.name: field.type for field in STORED_FIELDS}
    return pa.schema([(name, (kinds | own)[name]) for name in read_columns(graph, source)])


def land(rows: pa.Table, place: str, days: Sequence[str]) -> None:
    """Rows of some days in folders of their own, as a source system would deliver them; of a day without rows a file without rows."""
    order = pc.sort_indices(rows["known_at"])
    rows = rows.take(order).combine_chunks()
    known = np.asarray(rows["known_at"].cast(pa.int64()).to_numpy())
    for day in days:
        start, end = np.searchsorted(known, [day_start(day), day_start(day) + DAY])
        write_rows(f"{place}/ds={day}/part-0.parquet", rows.slice(start, end - start))
