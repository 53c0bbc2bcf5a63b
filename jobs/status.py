"""`asof status`: what is ingested, held, published, online and proven, from the records alone. Neither Spark nor Feast."""

import json
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import cut_text, micros, parse_cut, utc
from features.definitions.views import FeatureView
from features.settings import Settings
from features.store.reads import Question
from features.store.stores import open_store
from jobs import attempts, ledger
from jobs.audits import partition_report
from jobs.commands import Status
from jobs.metrics.records import computed_days
from jobs.proofs import proof_of
from jobs.stages import say

__all__ = ["run", "status"]

_NUMBERS = {"partitions", "rows", "quarantined", "held", "keys"}


def run(command: Status, settings: Settings) -> int:
    """Prints a table of sources and one of views, or all of it as JSON."""
    found = status(settings, load_catalog(settings.catalog))
    if command.output == "json":
        say(json.dumps(found, indent=1))
    else:
        _show(found)
    return 0


def status(settings: Settings, catalog: Catalog) -> dict[str, Any]:
    """Plain JSON data: `sources` and `views` by name, `proofs` by cut, `metrics`: the days of risk.metrics_daily."""
    views = {view.name: _view(settings, view) for view in catalog.views}
    cuts = sorted({cut for view in views.values() for cut in view["cuts"]})
    proofs = {cut: proof for cut in cuts if (proof := proof_of(settings, parse_cut(cut))) is not None}
    sources = {source.name: _source(settings, source.name) for source in catalog.sources if source.reads is None}
    return {
        "at": settings.now().isoformat(),
        "sources": sources,
        "views": views,
        "proofs": proofs,
        "metrics": _metrics(settings),
    }


def _metrics(settings: Settings) -> dict[str, Any]:
    """Of `risk.metrics_daily`: how many days, how many of them are mature, the last, and when it was known."""
    days = computed_days(settings)
    newest = max(days, default=None)
    return {
        "days": len(days), "mature": sum(item.mature for item in days.values()), "last": newest,
        "as_of": None if newest is None else utc(days[newest].as_of).isoformat(),
    }  # fmt: skip


def _source(settings: Settings, name: str) -> dict[str, Any]:
    found = ledger.partitions(settings, name)
    audited = [report for item in found if (report := partition_report(settings, name, item.ds)) is not None]
    return {
        "partitions": len(found), "first": found[0].ds if found else None, "last": found[-1].ds if found else None,
        "rows": sum(item.rows for item in found), "events": sum(item.rows - (item.changed or 0) for item in found),
        "rules": sum(report.rules for report in audited), "failed": sum(len(report.failures) for report in audited), "quarantined": sum(item.quarantined for item in found),
        "held": {item.ds: item.reason for item in found if item.held},
    }  # fmt: skip


def _view(settings: Settings, view: FeatureView) -> dict[str, Any]:
    cuts = {}
    for cut in attempts.cuts_with_attempts(settings, view):
        attempt = attempts.finished(settings, view, cut)
        verdict = (attempt.record("verdict") if attempt else None) or {}
        cuts[cut_text(cut)] = {
            "rows": ((attempt.record("finished") if attempt else None) or {}).get("rows"), "verdict": verdict.get("verdict"),
            "rules": verdict.get("rules", 0), "failed": verdict.get("failed", 0), "because": verdict.get("because", ""),
            "published": attempt is not None and attempt.record("published") is not None,
        }  # fmt: skip
    return {
        "entity": view.entity.name,
        "owner": view.owner,
        "features": len(view.features),
        "cuts": cuts,
        "online": _online(settings, view),
    }


def _online(settings: Settings, view: FeatureView) -> dict[str, Any] | None:
    if settings.online.kind == "sqlite" and not settings.online_db.exists():
        return None
    store = open_store(settings, writable=False)
    try:
        head = store.ask([Question(view=view.name, keys=())])[0].head
    finally:
        store.close()
    if head is None:
        return None
    age = micros(settings.now()) - head.cut
    return {
        "cut": cut_text(head.cut),
        "valid_from": utc(head.valid_from).isoformat(),
        "keys": head.rows,
        "stale": age >= head.horizon,
    }


def _show(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    sources = _table("Sources", "source", "last", "partitions", "rows", "quarantined", "held")
    for name, item in found["sources"].items():
        counts = (str(item[column]) for column in ("partitions", "rows", "quarantined"))
        sources.add_row(name, str(item["last"]), *counts, str(len(item["held"]) or "-"))
    views = _table("Views", "view", "newest attempt", "verdict", "online", "keys")
    for name, item in found["views"].items():
        newest = max(item["cuts"], default=None)
        last, online = item["cuts"].get(newest, {}), item["online"]
        verdict = f"{last.get('verdict') or '-'}{'' if last.get('published') or not last else ', not published'}"
        served = ("-", "-") if online is None else (online["cut"] + ", stale" * online["stale"], str(online["keys"]))
        views.add_row(name, newest or "-", verdict, *served)
    console.print(sources)
    for name, item in found["sources"].items():
        for ds, reason in item["held"].items():
            console.print(f"{name} {ds} is held. {reason}", markup=False)
    console.print(views)
    if (metrics := found["metrics"])["days"]:
        console.print(
            f"risk.metrics_daily: {metrics['days']} days, {metrics['mature']} mature; the last is {metrics['last']}, as known at {metrics['as_of']}."
        )


def _table(title: str, *columns: str) -> Table:
    """As narrow as can be: it is read in a terminal of 80 columns too."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for n, column in enumerate(columns):
        made.add_column(column, no_wrap=n < 2, justify="right" if column in _NUMBERS else "left")  # noqa: PLR2004
    return made
