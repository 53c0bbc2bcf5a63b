"""What Prometheus reads of the service: requests by path and code, their times, values by view and status."""

import asyncio
import os
from collections import Counter as Counts
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

from features.serving.reader import Result
from features.serving.served import Selected
from features.serving.usual_rows import UsualViews

__all__ = ["LATER_SECONDS", "TOGETHER", "Meters"]

TOGETHER = "asof-meters-"
"""How the folder is called in which the counts of several workers meet."""

LATER_SECONDS = 0.005
"""What is counted is written so much later at the most, with all that was counted meanwhile."""

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

        self._answers: list[tuple[str, int, float]] = []
        self._looked = Counts[tuple[str, str]]()
        self._ones: dict[tuple[Selected, tuple[str, ...]], int] = {}
        """Of single rows the status of each view: nearly every lookup is of one, and they are few that differ."""
        self._later: asyncio.TimerHandle | None = None
        # Prometheus checks the labels each time.
        self._of_request, self._of_rows = cache(self._requests.labels), cache(self._rows.labels)
        self._of_seconds = cache(self._seconds.labels)

    def request(self, path: str, code: int, seconds: float) -> None:
        """One answer."""
        self._answers.append((path, code, seconds))
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(LATER_SECONDS, self.write)

    def values(self, result: Result) -> None:
        """What a lookup gave, before its answer is counted."""
        if len(result.keys) == 1:
            views = result.views
            told = views.of.told if isinstance(views, UsualViews) else tuple([view.statuses[0] for view in views])
            of = result.selected, told
            self._ones[of] = self._ones.get(of, 0) + 1
            return
        for view in result.views:
            for status, rows in Counts(view.statuses).items():
                self._looked[view.view, status] += rows

    def write(self) -> None:
        """All that was not written yet to where it is read: for workers that is a file, which costs more than to count."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        answers, looked, ones = self._answers, self._looked, self._ones
        self._answers, self._looked, self._ones = [], Counts(), {}
        for (path, code), number in Counts((path, code) for path, code, _ in answers).items():
            self._of_request(path, str(code)).inc(number)
        for path, _, seconds in answers:
            self._of_seconds(path).observe(seconds)
        for (selected, statuses), number in ones.items():
            for (view, _), status in zip(selected.views, statuses, strict=True):
                looked[view, status] += number
        for of, rows in looked.items():
            self._of_rows(*of).inc(rows)

    def shown(self) -> bytes:
        """What was written, in Prometheus' text format."""
        if not Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(TOGETHER):  # Feast sets one too
            return bytes(generate_latest(self._registry))
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(together))
