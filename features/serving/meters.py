"""What Prometheus reads of the service: requests by path and code, their times, values by view and status."""

import os
from collections import Counter as Counts
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

from features.serving.reader import Result

__all__ = ["TOGETHER", "Meters"]

TOGETHER = "asof-meters-"
"""How the folder is called in which the counts of several workers meet."""

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0)


class Meters:
    """Of one process; `shown` is of all workers where PROMETHEUS_MULTIPROC_DIR is a folder of ours."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("asof_requests", "Requests answered.", ("path", "code"), registry=self._registry)
        self._seconds = Histogram(
            "asof_request_seconds", "From the first byte read to the answer made.", ("path",), buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._rows = Counter(
            "asof_rows", "Rows looked up, by the status of their values.", ("view", "status"), registry=self._registry
        )

        # Prometheus checks the labels each time.
        self._of_request, self._of_rows = cache(self._requests.labels), cache(self._rows.labels)
        self._of_seconds = cache(self._seconds.labels)

    def request(self, path: str, code: int, seconds: float) -> None:
        """One answer."""
        self._of_request(path, str(code)).inc()
        self._of_seconds(path).observe(seconds)

    def values(self, result: Result) -> None:
        """What a lookup gave."""
        for view in result.views:
            statuses = view.statuses
            counts = {statuses[0]: 1} if len(statuses) == 1 else Counts(statuses)
            for status, rows in counts.items():
                self._of_rows(view.view, status).inc(rows)

    def shown(self) -> bytes:
        """In Prometheus' text format."""
        if not Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(TOGETHER):  # Feast sets one too
            return bytes(generate_latest(self._registry))
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(together))
