"""The one place that spells names of tables, columns, DAGs and suites from definitions."""

from datetime import UTC, datetime, timedelta

from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = [
    "FEATURES_DATABASE",
    "STATE",
    "TILES_DATABASE",
    "cut_text",
    "database_of",
    "micros",
    "parse_cut",
    "quarantine_of",
    "snapshots_of",
    "status_column",
    "tiles_table",
    "utc",
    "view_table",
    "waiting_of",
]

FEATURES_DATABASE = "features"
TILES_DATABASE = "tiles"
_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def view_table(view: FeatureView | str) -> str:
    """The Hive table of published values, partitioned by `cut`."""
    return f"{FEATURES_DATABASE}.{view if isinstance(view, str) else view.name}"


def tiles_table(view: FeatureView | str) -> str:
    """The Hive table of a view's tiles, partitioned by `cut` and `day`."""
    return f"{TILES_DATABASE}.{view if isinstance(view, str) else view.name}"


def database_of(source: Source) -> str:
    """The Hive database of a source's table."""
    return source.table.split(".")[0]


def quarantine_of(source: Source) -> str:
    """The Hive table of rows that did not fit, each with the reason."""
    return f"{source.table}__quarantine"


def waiting_of(source: Source) -> str:
    """The Hive table of enriched rows whose parent is not known yet."""
    return f"{source.table}__waiting"


def snapshots_of(source: Source) -> str:
    """The Hive table of what a full source's snapshots said, row by row."""
    return f"{source.table}__snapshots"


STATE = "asof_state"
"""The column of a view's table that holds what lookups finish; binary, see docs/state.md."""


def status_column(view: FeatureView | str) -> str:
    """In frames: ok, never_seen, no_key, stale or overflow."""
    return f"{view if isinstance(view, str) else view.name}__asof_status"


def cut_text(cut: int) -> str:
    """A cut as partition value and in messages: `2026-01-02T00-00Z` sorts as text and fits every file system."""
    return utc(cut).strftime("%Y-%m-%dT%H-%MZ")


def parse_cut(text: str) -> int:
    """Microseconds UTC of `cut_text`."""
    return micros(datetime.strptime(text, "%Y-%m-%dT%H-%MZ").replace(tzinfo=UTC))


def micros(instant: datetime) -> int:
    """Exact microseconds since the epoch of an aware datetime."""
    since = instant - _EPOCH  # divided by a microsecond it takes ten times as long
    return (since.days * _DAY_SECONDS + since.seconds) * 1_000_000 + since.microseconds


def utc(instant: int) -> datetime:
    """The aware datetime of microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=instant)
