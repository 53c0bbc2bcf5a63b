"""`asof stop`: ends what the embedded parts left running."""

from features.settings import Settings
from jobs import connect, metastore, sql
from jobs.commands import Stop
from jobs.stages import say

__all__ = ["run"]


def run(command: Stop, settings: Settings) -> int:  # noqa: ARG001
    """Harmless where nothing runs. The metastore last: the others ask it."""
    parts = {
        "the SQL server": sql.stop,
        "the embedded Spark Connect server": connect.stop,
        "the metastore service": metastore.stop,
    }
    ended = [name for name, stop in parts.items() if stop(settings)]
    say(f"Ended {' and '.join(ended)}." if ended else f"Nothing to end: neither {' nor '.join(parts)} runs.")
    return 0
