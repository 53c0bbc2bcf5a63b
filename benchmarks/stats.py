"""Count and sum over 90 days by merchant, from tiles and by SQL over the raw events, in turn; prints one JSON line of run.py's shape.

    python benchmarks/stats.py DATA [--runs 3]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote. Its events are ingested once, into DATA/asof, and their tiles built once, as daily cuts would
have; neither is timed. Each turn runs both; all values are compared in each; the first turn is a warm-up and is not printed. `tiles` is all that
`asof stats` does: it finds that every tile is up to date, reads, merges and finishes them (so few tiles need no Spark). `raw` has a warm session, and
does not even ask what was taken back.
"""

import argparse
import json
import os
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features import Entity, FeatureView, Source, count, fields, flat, sum_  # noqa: E402 - the repository comes first
from features.definitions.names import tiles_table  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from jobs import ledger, stats  # noqa: E402
from jobs.commands import Stats  # noqa: E402
from jobs.ingest import ingest  # noqa: E402
from jobs.session import spark as session  # noqa: E402
from jobs.tile_answers import answer  # noqa: E402

EVENTS = Source(
    name="events", table="bench.events", event_time="ts", event_id="payment_id",
    columns=(*fields("int64", "user_id payment_id merchant_id device_id amount_minor"), *fields("timestamp", "ts")),
)  # fmt: skip
MERCHANTS = FeatureView(
    name="bench_merchants", entity=Entity(name="merchant", keys=("merchant_id",), type="int64"), source=EVENTS,
    features=flat((count("90d"), sum_("amount_minor", "90d"))),
)  # fmt: skip
END = datetime(2025, 10, 10, tzinfo=UTC) + timedelta(days=90)
COMMAND = Stats(view=MERCHANTS.name, window="90d", by=("merchant_id",), at=END)


def settings(data: Path) -> Settings:
    """A home inside the data, Derby inside Spark, as many cores and as much memory as peers.py takes."""
    os.environ["ASOF_CONFIG"] = os.devnull
    return load(
        home=data / "asof",
        catalog="benchmarks.stats",
        metastore={"kind": "embedded"},
        spark={"master": "local[2]", "driver_memory": "8g", "few_bytes": 0},
    )


def run(data: Path, made: Settings, runs: int) -> dict[str, Any]:
    """The workload's line, once its values are checked."""
    spark = session(made, "bench")
    if not ledger.partitions(made, EVENTS.name):
        ingest(spark, made, EVENTS, str(data / "events"))
    seconds: dict[str, list[float]] = {"tiles": [], "raw": []}
    started = time.perf_counter()
    _tiles(spark, made)
    built = round(time.perf_counter() - started, 1)
    for turn in range(runs + 1):
        answers = []
        for name, way in (("tiles", _tiles), ("raw", _raw)):
            started = time.perf_counter()
            answers.append(way(spark, made))
            if turn:
                seconds[name].append(round(time.perf_counter() - started, 3))
        if not answers[0].equals(answers[1]):
            raise SystemExit("The tiles' values are not those of the raw events.")
    median = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        "workload": "stats", "rows": len(answers[0]), **median, "times_faster": round(median["raw"] / median["tiles"], 2), "seconds": seconds,
        "events": sum(item.rows for item in ledger.partitions(made, EVENTS.name)), "built_in": built,
        "tile_rows": spark.table(tiles_table(MERCHANTS)).count(),
    }  # fmt: skip


def _tiles(_: Any, made: Settings) -> pa.Table:
    question = stats.ask(made, COMMAND)
    return _ordered(answer(made, question, stats.builds_of(made, question)).table)


def _raw(spark: Any, _: Settings) -> pa.Table:
    first = END - timedelta(days=90)
    return _ordered(
        spark.sql(
            f"select merchant_id, count(*) `count`, sum(amount_minor) sum_amount_minor from {EVENTS.table} "
            f"where ts >= timestamp '{first.isoformat()}' and ts < timestamp '{END.isoformat()}' group by merchant_id"
        ).toArrow()
    )


def _ordered(answer: pa.Table) -> pa.Table:
    return (
        pa.table({name: answer[name].cast(pa.int64()) for name in answer.column_names})
        .sort_by("merchant_id")
        .combine_chunks()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(run(args.data.resolve(), settings(args.data.resolve()), args.runs)), flush=True)
