"""Whole snapshots of merchants, a day each, and a source of kind full that reads them."""

from pathlib import Path

from features import Entity, Field, Source, attribute, fields
from features.definitions.views import FeatureView

__all__ = ["DAYS", "MERCHANT", "SOURCE", "VIEW", "land", "own"]

MERCHANT = Entity(name="full_merchant", keys=("merchant",))
SOURCE = Source(
    name="full_merchants", table="full.merchants", kind="full", event_id="merchant", deleted="closed", known_at="seen",
    columns=(*fields("string", "merchant city"), Field(name="closed", type="bool"), *fields("timestamp", "event_time seen")),
)  # fmt: skip
VIEW = FeatureView(name="full_record", entity=MERCHANT, source=SOURCE, features=(attribute("city"),))
DAYS = {
    1: ["m,Rome,2026-02-01T00:00:00Z", "n,Bonn,2026-02-01T00:00:00Z"],
    2: ["m,Oslo,2026-03-02T08:00:00Z", "n,Bonn,2026-02-01T00:00:00Z", "o,Kiel,2026-03-02T09:00:00Z"],
    3: ["n,Bonn,2026-02-01T00:00:00Z", "o,Kiel,2026-03-02T09:00:00Z"],
}


def land(folder: Path, days: dict[int, list[str]]) -> str:
    """A CSV a day without the column of deletions, taken at noon."""
    for day, rows in days.items():
        path = folder / f"ds=2026-03-{day:02d}" / "merchants.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        seen = f"2026-03-{day:02d}T12:00:00Z"
        path.write_text("\n".join(["merchant,city,event_time,seen", *(f"{row},{seen}" for row in rows)]) + "\n")
    return str(folder)


def own(name: str) -> Source:
    return Source(
        **{field: getattr(SOURCE, field) for field in ("kind", "event_id", "deleted", "known_at", "columns", "keys")},
        name=name,
        table=f"full.{name}",
    )
