"""`asof stop`: ends what the embedded parts left running."""

from features.settings import Settings
from jobs import connect, metastore
from jobs.commands import Stop
from jobs.stages import say

__all__ = ["run"]


def run(command: Stop, settings: Settings) -> int:  # noqa: ARG001
    """Harmless where nothing runs."""
    connect.stop(settings)
    metastore.stop(settings)
    say("Neither the embedded Spark Connect server nor the metastore service runs.")
    return 0
