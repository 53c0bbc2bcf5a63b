"""What Spark forks its Python workers from on one machine: pyspark's own daemon, whose workers keep what they have imported.

Before each task a worker is told to forget what importers know. Spark gives its Python as a zip file, and its core jar as another: Python 3.11 then reads
the archive's directory again for each package that came from it. After each task it looks for garbage, through all that was ever imported too.
Together that takes longer than a small task.
"""

import gc
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import PathFinder
from typing import Any

__all__ = ["MODULE", "folders", "freezing"]

MODULE = "jobs.worker_daemon"
"""For `spark.python.daemon.module`."""
_ARCHIVE = re.compile(r"/(pyspark\.zip|py4j-[^/]*-src\.zip|spark-core_[^/]*\.jar)$")
_MANY = 20_000
"""So many objects that outlive a task are modules, not rows."""


def folders(path: Sequence[str]) -> list[str]:
    """`sys.path` without Spark's archives, where what they hold is also in a folder; as it is elsewhere."""
    rest = [place for place in path if not _ARCHIVE.search(place)]
    there = all(PathFinder.find_spec(name, rest) for name in ("pyspark", "py4j"))
    return rest if there else list(path)


def freezing(task: Callable[..., Any]) -> Callable[..., Any]:
    """A task after which what it imported is not looked through again; what it left as garbage is gone."""

    @wraps(task)
    def done(*args: Any) -> Any:  # noqa: ANN401 - pyspark's
        try:
            return task(*args)
        finally:
            gc.collect()
            if len(gc.get_objects()) > _MANY:
                gc.freeze()

    return done


def _main() -> None:
    sys.path[:] = folders(sys.path)
    sys.path_importer_cache.clear()
    from pyspark import daemon  # noqa: PLC0415 - from where `folders` leaves it

    own: Any = daemon
    own.worker_main = freezing(own.worker_main)
    gc.collect()
    gc.freeze()
    own.manager()


if __name__ == "__main__":
    _main()
