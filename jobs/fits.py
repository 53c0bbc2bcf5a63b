"""What views need that is fitted from all keys at each cut: lag curves, priors, centres and scales of anomalies, kept in `asof.fits`, a file a view and cut.

A cut that has no fit yet by the view's definition and from the sources as they are gets one, all such cuts in one pass over the sources. A file
appears whole or not at all and holds the same numbers whoever writes it, so that a pass that is killed is run again and loses only time.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.definitions.compiled import hash_of
from features.definitions.names import cut_text
from features.definitions.views import FeatureView
from features.settings import Settings
from features.values.fits import Fits, fit_names, fit_places, fitted
from features.values.partition import EntityViews, entity_views, fit_sums
from jobs import ledger, tables
from jobs.few import few_rows
from jobs.files import exists, open_system, write_rows
from jobs.labels import EVENT_TIMESTAMP, Labels
from jobs.rows import event_rows
from jobs.sizing import size
from jobs.stages import say

__all__ = ["FITS", "FIT_COLUMNS", "cuts_at", "cuts_of_asks", "cuts_of_labels", "fits", "fits_at"]

FITS = "asof.fits"
"""The Hive table of all fits, a row each."""

FIT_COLUMNS = {
    "view": "string", "definition": "string", "name": "string", "cut": "timestamp", "valid_from": "timestamp", "sources": "string",
    "fit": "array<double>",
}  # fmt: skip
_INSTANT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema([
    *((name, pa.string()) for name in ("view", "definition", "name")), ("cut", _INSTANT), ("valid_from", _INSTANT), ("sources", pa.string()),
    ("fit", pa.list_(pa.float64())),
])  # fmt: skip
_SUMS = "view string, name string, cut bigint, place bigint, count bigint"
_NOTHING = pa.schema([
    *((name, pa.string()) for name in ("view", "name")), *((name, pa.int64()) for name in ("cut", "place", "count")),
]).empty_table()  # fmt: skip
Cuts = Mapping[str, Sequence[int]]
"""By view, microseconds UTC, ascending."""


def fits_at(spark: SparkSession, settings: Settings, group: EntityViews, cuts: Iterable[int]) -> dict[str, Fits]:
    """Of each view that has something fitted, at each of the cuts."""
    wanted = sorted(set(cuts))
    return fits(spark, settings, group, {view.name: wanted for view in group.views})


def fits(spark: SparkSession, settings: Settings, group: EntityViews, cuts: Cuts) -> dict[str, Fits]:
    """Of each view that has something fitted, at its cuts; what is not there yet is fitted in one pass, and kept."""
    views = [view for view in group.views if view.fitted]
    states = {view.name: _states(settings, view, cuts[view.name]) for view in views}
    found = {view.name: _kept(settings, view, states[view.name]) for view in views}
    missing = {
        view: [cut for cut in cuts[view.name] if cut not in found[view.name]] for view in views
    }  # fmt: skip
    if todo := {view: some for view, some in missing.items() if some}:
        for view, made in _fit(spark, settings, todo).items():
            for place, cut in enumerate(missing[view]):
                rows = _rows(view, made, place, states[view.name][cut])
                write_rows(_path(settings, view, cut), rows)
                found[view.name][cut] = rows
        tables.ensure_files(spark, settings, FITS, FIT_COLUMNS)
        count = sum(len(some) for some in todo.values())
        say(f"{', '.join(view.name for view in todo)}: fitted at {count} cut(s), kept in {FITS}.")
    return {view.name: _together(view, cuts[view.name], found[view.name]) for view in views}


def cuts_at(group: EntityViews, instants: np.ndarray) -> dict[str, list[int]]:
    """The cuts that are served at instants, microseconds UTC, of the views that have something fitted."""
    once = np.unique(instants).tolist()
    return {
        view.name: sorted({view.schedule.cut_served(instant) for instant in once})
        for view in group.views
        if view.fitted
    }


def cuts_of_labels(labels: Labels, group: EntityViews) -> dict[str, list[int]]:
    """The same of staged labels, a batch at a time."""
    found: dict[str, set[int]] = {view.name: set() for view in group.views if view.fitted}
    for batch in pq.ParquetFile(labels.path).iter_batches(columns=[EVENT_TIMESTAMP]) if found else ():
        for name, cuts in cuts_at(group, np.asarray(batch[EVENT_TIMESTAMP].cast(pa.int64()))).items():
            found[name].update(cuts)
    return {name: sorted(cuts) for name, cuts in found.items()}


def cuts_of_asks(asks: DataFrame, group: EntityViews) -> dict[str, list[int]]:
    """The same of asks that lie in Spark, by their `asof_time`."""
    made = {}
    for view in (view for view in group.views if view.fitted):
        schedule = view.schedule
        since = F.col("asof_time") - F.lit(schedule.lag_us + schedule.phase_us)
        cut = since - F.pmod(since, F.lit(schedule.period_us)) + F.lit(schedule.phase_us)
        rows = asks.select(cut.alias("cut")).distinct().collect()
        made[view.name] = sorted(int(row["cut"]) for row in rows)
    return made


def _states(settings: Settings, view: FeatureView, cuts: Sequence[int]) -> dict[int, str]:
    states = ledger.source_states(settings, view, cuts)
    return {cut: json.dumps(state, sort_keys=True) for cut, state in states.items()}


def _path(settings: Settings, view: FeatureView, cut: int) -> str:
    return f"{settings.tables_root}/asof.db/fits/{view.name}-{hash_of(view)}-{cut_text(cut)}.parquet"


def _kept(settings: Settings, view: FeatureView, states: Mapping[int, str]) -> dict[int, pa.Table]:
    """Fits that were made from the sources as they are."""
    found = {}
    for cut, state in states.items():
        path = _path(settings, view, cut)
        if exists(path):
            files, place = open_system(path)
            table = pq.ParquetFile(files.open_input_file(place)).read()
            if set(table["sources"].to_pylist()) == {state}:
                found[cut] = table
    return found


def _fit(spark: SparkSession, settings: Settings, todo: Mapping[FeatureView, Sequence[int]]) -> dict[FeatureView, Fits]:
    """One scan, and one shuffle unless rows are few; what comes back is as many integers as a fit has places, for each fit and cut."""
    (group,) = entity_views(todo)
    before, anchor = max(cuts[-1] for cuts in todo.values()), min(cuts[0] for cuts in todo.values())
    task = fit_sums(group, {view.name: list(cuts) for view, cuts in todo.items()})
    few = few_rows(spark, settings, group, before=before, anchor=anchor)
    if few is not None:
        added = pa.concat_tables([_NOTHING, *(pa.Table.from_batches([batch]) for batch in task(few.to_batches()))])
    else:
        rows = event_rows(spark, settings, group, before=before, anchor=anchor)
        parts = size(settings, group, before=before, anchor=anchor).partitions
        found = rows.repartition(parts, *group.keys).mapInArrow(task, _SUMS)
        added = found.groupBy("view", "name", "cut", "place").agg(F.sum("count").alias("count")).toArrow()
    return {view: fitted(view, cuts, _added(view, cuts, added)) for view, cuts in todo.items()}


def _added(view: FeatureView, cuts: Sequence[int], rows: pa.Table) -> dict[str, np.ndarray]:
    mine = rows.filter(pc.equal(rows["view"], view.name))
    made = {name: np.zeros((len(cuts), places), np.int64) for name, places in fit_places(view).items()}
    for name, counts in made.items():
        some = mine.filter(pc.equal(mine["name"], name))
        cut, place, count = (some[column].to_numpy() for column in ("cut", "place", "count"))
        counts[np.searchsorted(np.array(cuts), cut), place] = count
    return made


def _rows(view: FeatureView, made: Fits, place: int, state: str) -> pa.Table:
    cut = int(made.cuts[place])
    own = {"view": view.name, "definition": hash_of(view), "cut": cut, "valid_from": cut + view.schedule.lag_us}
    rows = [
        {**own, "name": name, "sources": state, "fit": made.values[name][place].tolist()} for name in fit_names(view)
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _together(view: FeatureView, cuts: Sequence[int], found: Mapping[int, pa.Table]) -> Fits:
    of_cut = [dict(zip(found[cut]["name"].to_pylist(), found[cut]["fit"].to_pylist(), strict=True)) for cut in cuts]
    values = {
        name: np.array([fit[name] for fit in of_cut], np.float64).reshape(len(cuts), -1) for name in fit_names(view)
    }
    return Fits(view=view.name, cuts=np.array(cuts, np.int64), values=values)
