"""W3 as definitions: five views of twenty plain float64 values of a user, as if they had been computed at one cut."""

from datetime import UTC, datetime

from features import Entity, FeatureView, Source, Window, fields
from features.definitions.features import Aggregate
from features.definitions.names import micros

__all__ = ["CATALOG", "CUT", "VIEWS"]

CATALOG = "benchmarks.w3"
CUT = micros(datetime(2026, 1, 1, tzinfo=UTC))
EVENTS = Source(
    name="events",
    table="bench.events",
    event_time="ts",
    columns=(*fields("int64", "user_id amount"), *fields("timestamp", "ts")),
)
USER = Entity(name="user", keys=("user_id",), type="int64")
VIEWS = tuple(
    FeatureView(
        name=f"v{number}", entity=USER, source=EVENTS,
        features=tuple(Aggregate(name=f"v{number}_f{n}", operation="mean", column="amount", window=Window(f"{n + 1}d")) for n in range(20)),
    )
    for number in range(5)
)  # fmt: skip
