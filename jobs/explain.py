"""`asof explain VIEW`: what computing it costs and why, from definitions, the ledger and the last attempts. No Spark."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.compiled import hash_of
from features.definitions.durations import DAY, duration_text
from features.definitions.features import Aggregate, Rate
from features.definitions.meanings import freshness_text, request_text
from features.definitions.names import cut_text, micros, utc
from features.definitions.views import FeatureView
from features.definitions.windows import Window
from features.settings import Settings
from features.values.carrying import carriable, edges
from features.values.partition import EntityViews, entity_views
from features.values.state.bounds import bound_text
from jobs import attempts, sizing
from jobs.carried import follows
from jobs.commands import Explain
from jobs.exchange import exchangeable
from jobs.rows import shape_of
from jobs.stages import say

__all__ = ["explained", "run"]


def run(command: Explain, settings: Settings) -> int:
    """Prints what the view's shuffle reads, how it is cut, and each window's edges."""
    catalog = load_catalog(settings.catalog)
    view = catalog.view(command.view)
    at = micros(settings.now() if command.at is None else command.at)
    found = explained(settings, catalog, view, at)
    if command.output == "json":
        say(json.dumps(found, indent=1))
    else:
        _show(found)
    return 0


def explained(settings: Settings, catalog: Catalog, view: FeatureView, at: int) -> dict[str, Any]:
    """Plain JSON data, for the newest cut served at an instant (microseconds UTC)."""
    cut = view.schedule.cut_served(at)
    group = _group(catalog, view)
    size = sizing.size(settings, group, before=cut, anchor=cut)
    return {
        "view": view.name, "definition": hash_of(view), "entity": view.entity.name, "keys": list(view.keys), "freshness": freshness_text(view), "request": request_text(view),
        "features": len(view.features), "remember": view.remember, "cut": cut_text(cut),
        "shuffle": {
            "with": [each.name for each in group.views if each.name != view.name], "rows": size.rows, "bytes": size.bytes,
            "partitions": size.partitions, "chosen": size.chosen, "worker_bytes": size.worker_bytes,
            "few_bytes": settings.spark.few_bytes,
        },
        "reads": [
            {"source": read.source, "partitions": read.partitions, "rows": read.rows, "columns": list(read.columns),
             "since": None if read.since is None else utc(read.since).isoformat()}
            for read in size.reads if read.source in {source.name for source in view.sources}
        ],
        "follows": _follows(settings, view, cut), "windows": _windows(view), "state": bound_text(view) if view.stateful else None,
        "attempts": _attempts(settings, view),
    }  # fmt: skip


def _follows(settings: Settings, view: FeatureView, cut: int) -> str:
    """How the cut comes from the one before it, or why it does not."""
    if not view.tabled:
        return f"not at all: it has no table, since {view.unkept}"
    if view.stateful:
        return "not from the cut before: its state is made of all rows that a window may reach"
    (alone,) = entity_views([view])
    if (reason := carriable(view)) is not None:
        return f"not from the cut before: {reason}"
    if not exchangeable(settings, alone, cut):
        return "not from the cut before: a gate holds or held a partition that is read, or tables are not in a folder"
    if follows(settings, view, cut, shape_of(settings, alone, cut)) is None:
        before = attempts.finished(settings, view, cut - view.schedule.period_us)
        few = ((before.record("finished") if before else None) or {}).get("few", False)
        why = "the cut before was not computed by this definition from the sources as they are"
        return f"from all rows this time: {'at the cut before they were few, which leaves no state' if few else why}"
    days = len({day for lower, upper in edges(view, cut) for day in range(lower // DAY, -(-upper // DAY))})
    return f"from the cut before, what is newly known, and tiles of {days} days that windows leave or enter"


def _group(catalog: Catalog, view: FeatureView) -> EntityViews:
    """The views that its cut is computed with: of one entity and schedule. One that has no table stands alone, as in a frame."""
    beside = [
        each for each in catalog.views if each.tabled and view.tabled and each.schedule.period_us == view.schedule.period_us
        and each.schedule.phase_us == view.schedule.phase_us and each.entity.name == view.entity.name
    ]  # fmt: skip
    (group,) = entity_views(beside or [view])
    return group


def _windows(view: FeatureView) -> list[dict[str, Any]]:
    found: dict[Window, int] = {}
    for feature in view.features:
        if isinstance(feature, Aggregate | Rate):
            found[feature.window] = found.get(feature.window, 0) + 1
    return [
        {"window": window.label, "step": "exact" if window.step_us == 1 else duration_text(window.step_us), "overshoot_us": window.overshoot_us, "features": count}
        for window, count in sorted(found.items(), key=lambda item: (item[0].length_us or view.remember_us, item[0].offset_us))
    ]  # fmt: skip


def _attempts(settings: Settings, view: FeatureView) -> list[dict[str, Any]]:
    made = []
    for cut in attempts.cuts_with_attempts(settings, view)[-5:]:
        attempt = attempts.finished(settings, view, cut)
        record = attempt.record("finished") if attempt else None
        if record is not None:
            made.append({"cut": cut_text(cut), "keys": record["rows"], "seconds": record["seconds"]})
    return made


def _show(found: dict[str, Any]) -> None:
    shuffle = found["shuffle"]
    others = f", together with {', '.join(shuffle['with'])}" if shuffle["with"] else ""
    say(
        f"{found['view']} ({found['definition']}): {found['features']} features of {found['entity']} ({', '.join(found['keys'])})."
    )
    say(f"Freshness: {found['freshness']}. Remembers {found['remember']}.")
    if found["request"]:
        say(f"Asked with {found['request']}.")
    say(f"Cut {found['cut']}: one scan, one shuffle and one sweep{others}.")
    say(f"  Shuffled: {shuffle['rows']:,} rows, about {_megabytes(shuffle['bytes'])}.")
    say(
        f"  Partitions: {shuffle['partitions']}, by {shuffle['chosen']}; spark.shuffle_partitions sets another number. "
        f"About {_megabytes(shuffle['worker_bytes'])} a Python worker."
    )
    if shuffle["few_bytes"]:
        say(
            f"  Without Spark's tasks where the files read have less than {_megabytes(shuffle['few_bytes'])} (spark.few_bytes)."
        )
    say(f"  Computed {found['follows']}.")
    for read in found["reads"]:
        since = f"events since {read['since'][:10]}" if read["since"] else "rows of any age"
        say(
            f"  {read['source']}: {read['rows']:,} rows in {read['partitions']} partitions ({since}); {', '.join(read['columns'])}."
        )
    if found["state"]:
        say(f"  Its state for lookups: {found['state']}.")
    console = Console(highlight=False)
    if found["windows"]:
        windows = Table("window", "step", "reaches further back by", "features", title="Windows", title_justify="left")
        for item in found["windows"]:
            beyond = f"less than {item['step']}" if item["overshoot_us"] else "nothing: edges are exact"
            windows.add_row(item["window"], item["step"], beyond, str(item["features"]))
        console.print(windows)
    for item in found["attempts"]:
        say(f"Computed {item['cut']}: {item['keys']:,} keys in {item['seconds']} s.")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
