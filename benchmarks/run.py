"""Runs Asof on a workload of workloads.py and prints one JSON line, of the same shape as peers.py's.

    python benchmarks/run.py DATA --only frame [--runs 3] [--out DIR] [--against floor,duckdb-windows]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote. Its events are ingested once, into DATA/asof, by `asof ingest`; what is timed is all that
`asof frame` does: reading labels and tables, shuffling, computing, writing. Values are checked first, row by row where DuckDB can. The first run is a
warm-up and is not printed. With --against each peer (of peers.py, or another workload of Asof) runs before and after, and the line holds Asof's median over
theirs.

Workloads: frame         count, sum, max, distinct x 1h, 24h, 7d, 30d, 90d exact windows
           frame-known   the same with late, corrected and voided events, and text keys
           frame-wide    the same for ten filters, in ten views of one entity
           frame-skew    frame with 90% of events and asks moved to one user
           day, stats, http, pit, load, lookup, lookup-windows, lookup-tails, sizes, graph, catalogue, services
                         see day.py, stats.py, http_service.py, pit.py, load.py, lookups.py, sizes.py, graphs.py, catalogue.py and services.py, whose lines these are
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import checks  # noqa: E402 - the repository comes first
from features.definitions.catalog import load_catalog  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from jobs import ledger  # noqa: E402
from jobs.frame import frame  # noqa: E402
from jobs.ingest import ingest  # noqa: E402
from jobs.session import spark as session  # noqa: E402

WORKLOADS = {
    "frame": ("events", "asks", checks.frame),
    "frame-known": ("known", "asks_known", checks.known),
    "frame-wide": ("events", "asks", checks.wide),
    "frame-skew": ("skewed", "asks_skewed", checks.skew),
}
OTHERS = {
    "day": "day.py", "stats": "stats.py", "http": "http_service.py", "pit": "pit.py", "lookup": "lookups.py", "lookup-windows": "lookups.py", "lookup-tails": "lookups.py",
    "load": "load.py", "sizes": "sizes.py", "graph": "graphs.py", "catalogue": "catalogue.py",
    "services": "services.py",
}  # fmt: skip
ON_REDIS = ("http", "load", "sizes", "lookup", "lookup-windows", "lookup-tails", "services")
CORES = 2


def settings(data: Path) -> Settings:
    """A home inside the data, Derby inside Spark, as many cores and as much memory as peers.py takes."""
    os.environ["ASOF_CONFIG"] = os.devnull
    return load(
        home=data / "asof", catalog="benchmarks.w1", metastore={"kind": "embedded"},
        spark={
            "master": f"local[{CORES}]", "driver_memory": "8g", "few_bytes": 0, "conf": {"spark.ui.enabled": "true", "spark.ui.port": "4050"},
        },
    )  # fmt: skip


def prepare(data: Path, made: Settings, events: str, asks: str) -> Path:
    """Ingests the events and writes the labels, each once; gives the label file."""
    if events == "skewed" and not (data / "skewed").exists():
        skew(data)
    labels = data / "asof" / f"{asks}.parquet"
    if not ledger.partitions(made, events):
        print(f"Ingesting {data / events} …", file=sys.stderr, flush=True)
        source = load_catalog("benchmarks.w1").source(events)
        ingest(session(made, "bench"), made, source, str(data / events))
    if not labels.exists():
        labels.parent.mkdir(parents=True, exist_ok=True)
        rows = pq.read_table(data / ("asks_skewed" if asks == "asks_skewed" else "asks")).rename_columns(
            {"ts": "event_timestamp"}
        )
        if asks == "asks_known":
            users = pa.array(np.char.mod("u%07d", rows["user_id"].to_numpy()))
            rows = rows.set_column(rows.schema.get_field_index("user_id"), "user_id", users)
        pq.write_table(rows, labels)
    return labels


def skew(data: Path) -> None:
    """Moves nine rows in ten to one user."""
    rng = np.random.default_rng(5)
    for name, to in (("asks", "asks_skewed"), ("events", "skewed")):
        (data / to).mkdir()
        for part in sorted((data / name).glob("*.parquet")):
            rows = pq.read_table(part)
            users = np.where(rng.random(len(rows)) < 0.9, 0, rows["user_id"].to_numpy())
            pq.write_table(
                rows.set_column(rows.schema.get_field_index("user_id"), "user_id", pa.array(users)),
                data / to / part.name,
            )


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """The largest memory of any Python worker meanwhile, in MB."""
    peak, over = {"worker_mb": 0.0}, threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "pyspark.worker" in " ".join(process.cmdline()):
                        peak["worker_mb"] = max(peak["worker_mb"], process.memory_info().rss / 1e6)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def shuffled_mb(spark: Any) -> float:
    """What all stages so far have written to shuffles of Spark's."""
    web = spark.sparkContext.uiWebUrl
    with urlopen(f"{web}/api/v1/applications/{spark.sparkContext.applicationId}/stages") as answer:  # noqa: S310
        return float(sum(stage["shuffleWriteBytes"] for stage in json.load(answer))) / 1e6


class _Exchanged(logging.Handler):
    """What Asof's own shuffle has written, in MB."""

    written = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            self.written += float(str(record.args[1])) / 1e6


def exchanged() -> _Exchanged:
    """Listens to `jobs.exchange`."""
    handler, log = _Exchanged(), logging.getLogger("jobs.exchange")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return handler


def run(data: Path, name: str, runs: int, out: Path) -> dict[str, Any]:
    """The workload's line, once its values are checked."""
    events, asks, check = WORKLOADS[name]
    made = settings(data)
    catalog = load_catalog(made.catalog)
    labels = prepare(data, made, events, asks)
    spark, service, target = session(made, "bench"), name.replace("-", "_"), out / f"{name}.parquet"
    seconds: list[float] = []
    rows, before, own = 0, 0.0, exchanged()
    with watched() as peak:
        for turn in range(runs + 1):
            start = time.perf_counter()
            rows = frame(spark, made, catalog, labels=str(labels), service=service, out=str(target))
            if turn:
                seconds.append(round(time.perf_counter() - start, 2))
            else:
                compared = check(data, target)
                before = shuffled_mb(spark) + own.written
    events_read = sum(item.rows for item in ledger.partitions(made, events))
    median = statistics.median(seconds)
    return {
        "workload": name, "rows": rows, "seconds": seconds, "compared": compared, "events": events_read,
        "rows_per_second_and_core": round((rows + events_read) / median / CORES), "peak_worker_mb": round(peak["worker_mb"]),
        "shuffled_mb": round((shuffled_mb(spark) + own.written - before) / runs),
    }  # fmt: skip


def apart(data: Path, name: str, runs: int, *more: str) -> dict[str, Any]:
    """The line of a peer or of a workload, run in a process of its own: Spark's embedded metastore is held until its process ends."""
    theirs = [str(ROOT / "benchmarks/peers.py"), str(data), name]
    ours = [str(ROOT / "benchmarks/run.py"), str(data), "--only", name, *more]
    command = [sys.executable, *(ours if name in WORKLOADS or name in OTHERS else theirs), "--runs", str(runs)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def main() -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=[*WORKLOADS, *OTHERS], required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="keep the frame in this folder")
    parser.add_argument("--against", default="", help="peers of peers.py, with commas: their ratios in the same run")
    parser.add_argument("--redis-port", type=int, default=6379, help="for look-ups")
    args = parser.parse_args()
    data = args.data.resolve()
    peers = [name for name in args.against.split(",") if name]
    if args.only in OTHERS and not peers:
        command = [sys.executable, str(ROOT / "benchmarks" / OTHERS[args.only]), str(data), "--runs", str(args.runs)]
        command += ["--redis-port", str(args.redis_port)] if args.only in ON_REDIS else []
        command += ["--only", args.only] if OTHERS[args.only] == "lookups.py" else []
        sys.exit(subprocess.run(command, check=False).returncode)
    out = (args.out or data / "asof" / "out").resolve()
    if not peers:
        print(json.dumps(run(data, args.only, args.runs, out)), flush=True)
        return
    port = ("--redis-port", str(args.redis_port))
    times = {name: list(apart(data, name, args.runs, *port)["seconds"]) for name in peers}
    line = apart(data, args.only, args.runs, "--out", str(out), *port)
    for name in peers:
        times[name] += apart(data, name, args.runs, *port)["seconds"]
        for key in [key for key, made in line.items() if key.endswith("seconds") and isinstance(made, list)]:
            of = "over" if key == "seconds" else f"{key} over"
            line[f"{of} {name}"] = round(statistics.median(line[key]) / statistics.median(times[name]), 3)
    print(json.dumps(line | {"peers": times}), flush=True)


if __name__ == "__main__":
    main()
