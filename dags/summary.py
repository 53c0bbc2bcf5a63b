"""The demo's last page: what was built and shown, and where to look at it."""

from pathlib import Path
from typing import Any

__all__ = ["page"]


def page(report: dict[str, Any], home: Path) -> str:
    """At most one screen of text."""
    parity, seconds, expectations = report["parity"], report["seconds"], report["expectations"]
    states = ", ".join(f"{count} {state}" for state, count in report["airflow"]["states"].items())
    share = parity["informative"] / max(parity["compared"], 1)
    rows = [
        ("events in Hive", f"{report['events']:,} ({report['quarantined']} rows in quarantine)"),
        ("views, features", f"{report['views']}, {report['features']}"),
        ("Airflow runs", f"{states} (the failed one is the corrupted day, held by its gate)"),
        ("partitions published", f"{report['partitions_published']}"),
        ("expectations", f"{expectations['run']:,} run on sources and views, {expectations['failed']} failed"),
        ("while held", f"lookups gave the last good values, {report['held'].get('lookup_age_hours', 0):.0f} h old"),
        ("keys online", f"{report['keys_online']:,}"),
        ("frame rows", f"{report['frame_rows']:,}"),
        (
            "parity",
            f"{parity['compared']:,} values looked up and recomputed, {parity['different']} different, {share:.0%} neither 0 nor null",
        ),
        (
            "Feast's own client",
            f"{report['feast']['compared']} values compared, {report['feast']['different']} different",
        ),
        ("seconds", ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())),
    ]
    look = [
        ("catalogue page", home / "docs/catalogue.html"), ("tables", home / "warehouse"), ("data docs", home / "docs/gx/uncommitted/data_docs/local_site/overview.html"), ("Airflow's record", home / "airflow"),
        ("Feast repository", home / "feast"), ("training frame", home / "frame.parquet"), ("all of this", home / "report.json"), ("logs", home / "logs"),
    ]  # fmt: skip
    body = [f"  {name:22}{value}" for name, value in rows]
    where = [f"  {name:22}{path}" for name, path in look]
    verdict = (
        "Everything came out as said."
        if report["ok"]
        else "NOT everything came out as said: compare the lines above with README.md."
    )
    return "\n".join(["", "Asof, the demo", *body, "", "Look at it", *where, "", verdict])
