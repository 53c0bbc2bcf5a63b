"""The catalogue's values on simulated days without Spark: files read, fitted, versioned, made into graphs and finished by the functions that jobs call."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from features.definitions.graphs import Graph
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.values.fit import fit
from features.values.fits import Fits, fit_places, fitted
from features.values.graph_rows import component_rows, edges, exposure_rows, link_rows, links, marks, read_columns
from features.values.partition import ASK, EntityViews, entity_views, finish, fit_sums
from features.values.sweep import ARROW_TYPES
from features.values.timeline import anchors
from features.values.versions import ADD, RETRACT, resolve
from jobs.parents import enrich
from jobs.source_files import travelling

__all__ = ["as_delivered", "ask", "known"]


_MOST = 10_000_000


@cache
def as_delivered(folder: Path, source: Source) -> pa.Table:
    """All versions that fit, children with what they took of their parents, and from when on they are known."""
    table = source.table.split(".")[1]
    raw = ds.dataset(folder / table, partitioning="hive").to_table().select([column.name for column in source.given])
    rows = fit(source, raw).rows
    if source.enriched is not None:
        parents = _stored(folder, source.enriched.parent)
        rows, _ = enrich(source, source.enriched, rows, parents)
    return rows


@cache
def _stored(folder: Path, source: Source) -> pa.Table:
    """All rows of a source as ingest stores them."""
    return resolve(source, as_delivered(folder, source)).rows


def known(folder: Path, source: Source) -> pa.Table:
    """Additions and retractions."""
    if source.graph is not None:
        return _derived(folder, source.graph)[source.name]
    rows = _stored(folder, source)
    return rows.filter(pc.is_in(rows["asof_op"], pa.array([ADD, RETRACT])))


@cache
def _derived(folder: Path, graph: Graph) -> dict[str, pa.Table]:
    """Rows of a graph's sources as ingest stores them, by name."""
    stored = {source.name: known(folder, source).select(read_columns(graph, source)) for source in graph.reads}
    before = max(pc.max(rows["asof_known_at"].cast(pa.int64())).as_py() for rows in stored.values()) + 1
    made = edges(graph, stored, before)
    linked = links(graph, made, _MOST)
    assert linked is not None
    rows = {
        graph.links: link_rows(graph, linked, before),
        graph.components: component_rows(graph, made, since=0, most=_MOST),
    }
    if graph.marks:
        rows[graph.exposures] = exposure_rows(graph, linked, marks(graph, stored), before, _MOST)
    found = {}
    for source, derived in rows.items():
        assert derived is not None
        kept = resolve(source, fit(source, derived).rows).rows
        found[source.name] = kept.filter(pc.is_in(kept["asof_op"], pa.array([ADD, RETRACT])))
    return found


def ask(folder: Path, views: Iterable[FeatureView], asks: pa.Table, instant: str = "event_time") -> dict[str, pa.Table]:
    """By view, its values and status at each ask: a row of `asks`, which has the columns of keys and request fields."""
    made: dict[str, pa.Table] = {}
    for group in entity_views(views):
        entity = group.views[0].entity
        keys = {key: asks[name] for key, name in zip(group.keys, entity.keys, strict=True)}
        time = asks[instant].cast(pa.int64())
        brought = {column: travelling(asks[name]) for column, name in group.request.items()}
        own = pa.table({**keys, "asof_time": time, "asof_row": pa.array(np.arange(len(asks))), **brought})
        rows = _rows(folder, group)
        table = pa.concat_tables([rows, own.append_column("asof_part", _all(len(own), ASK))], promote_options="default")
        (found,) = (
            pa.Table.from_batches(list(finish(group, fits=_fits(folder, group, time))(part.to_batches())))
            for part in (table.combine_chunks(),)
        )
        for view in group.views:
            names = {f"{view.name}__{name}": name for name in (*(f.name for f in view.features), "asof_status")}
            made[view.name] = found.select([name for name in found.column_names if name in names]).rename_columns(
                [names[name] for name in found.column_names if name in names]
            )
    return made


def _all(count: int, value: int) -> pa.Array:
    return pa.array(np.full(count, value, np.int8))


def _rows(folder: Path, group: EntityViews) -> pa.Table:
    """Every row of the group's sources that has a key, as `jobs.rows.event_rows` passes it."""
    entity, parts = group.views[0].entity, []
    for n, source in enumerate(group.sources):
        rows = known(folder, source)
        columns = {
            key: rows[name] for key, name in zip(group.keys, source.key_columns(entity.name, entity.keys), strict=True)
        }
        columns |= {
            "asof_part": _all(len(rows), n), "asof_time": rows[source.event_time].cast(pa.int64()), "asof_known": rows["asof_known_at"].cast(pa.int64()),
            "asof_undoes": rows["asof_undoes"].cast(pa.int64()).fill_null(0), "asof_retract": pc.equal(rows["asof_op"], RETRACT), "asof_first": rows["asof_first"],
        }  # fmt: skip
        for name in group.reads(source):
            plain = rows[name].cast(pa.int64()) if source.types[name] == "timestamp" else rows[name]
            columns[f"s{n}_{name}"] = plain.cast(
                pa.int64() if source.types[name] == "timestamp" else ARROW_TYPES[source.types[name]]
            )
        made = pa.table(columns)
        parts.append(made.filter(_whole(made, group.keys)))
    return pa.concat_tables(parts, promote_options="default")


def _whole(table: pa.Table, keys: Iterable[str]) -> pa.ChunkedArray:
    there = pc.is_valid(table["asof_part"])
    for key in keys:
        there = pc.and_(there, pc.is_valid(table[key]))
    return there


def _fits(folder: Path, group: EntityViews, time: pa.ChunkedArray) -> dict[str, Fits]:
    views = [view for view in group.views if view.fitted]
    instants = np.asarray(time.to_numpy())
    cuts = {view.name: sorted({int(cut) for cut in anchors(instants, view.freshness)}) for view in views}
    if not views:
        return {}
    (fitting,) = entity_views(views)
    rows = _rows(folder, fitting).combine_chunks()
    sums = pa.Table.from_batches(list(fit_sums(fitting, cuts)(rows.to_batches()))).to_pylist()
    made = {}
    for view in views:
        total = {name: np.zeros((len(cuts[view.name]), places), np.int64) for name, places in fit_places(view).items()}
        for row in sums:
            if row["view"] == view.name:
                total[row["name"]][cuts[view.name].index(row["cut"]), row["place"]] += row["count"]
        made[view.name] = fitted(view, cuts[view.name], total)
    return made
