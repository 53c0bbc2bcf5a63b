"""What tasks in Spark's Python workers have in common. No Spark."""

import gc
import os

from features.settings import Settings

__all__ = ["settle", "tasks"]

_SETTLED = list[int]()


def settle() -> None:
    """Spark's workers collect garbage after each task; what is imported by now lives as long as they do, and is not looked through again."""
    if not _SETTLED:  # gc.get_freeze_count() would walk through all that is frozen
        gc.freeze()
        _SETTLED.append(os.getpid())


def tasks(settings: Settings, pieces: int, *, a_core: int = 2) -> int:
    """How many tasks do so many pieces of work, one after the other: on one machine a few a core, since each costs a third of a second."""
    return min(pieces, a_core * (os.cpu_count() or 1)) if settings.spark.master.startswith("local") else pieces
