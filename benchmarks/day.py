"""A day's compute after nine days and after almost ninety, and from all rows: seconds, bytes read, rows shuffled; prints one JSON line of run.py's shape.

    python benchmarks/day.py DATA [--runs 3] [--distinct]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote. Its events are ingested once, into DATA/asof. The view has count, sum and max over 1h, 24h, 7d,
30d and 90d at daily cuts (with --distinct also distinct, whose state grows with the devices of a user). Tiles of the days before are built first, as daily
runs would have, and a cut starts from all rows; neither is timed. Then so many days follow one another, early and late: `day_10` is the median of those
that end at the 11th, `day_90` of the last ones of the data. The last cut is computed from all rows as often (`full`), and its values are compared, row
by row, with DuckDB's.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import w1  # noqa: E402 - the repository comes first
from benchmarks.checks import SECONDS  # noqa: E402
from features import Entity, FeatureView, Window, count, distinct, flat, max_, sum_  # noqa: E402
from features.definitions.durations import DAY  # noqa: E402
from features.definitions.names import cut_text, micros  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from jobs import attempts, ledger, tiles  # noqa: E402
from jobs.compute import compute  # noqa: E402
from jobs.ingest import ingest  # noqa: E402
from jobs.session import spark as session  # noqa: E402

START = micros(datetime(2025, 10, 10, tzinfo=UTC))
DAYS = 90
OVER = tuple(Window(length) for length in w1.LENGTHS)
PLAIN = (count(OVER), sum_("amount_minor", OVER), max_("amount_minor", OVER))
VIEW = FeatureView(
    name="bench_day", entity=Entity(name="user", keys=("user_id",), type="int64"), source=w1.EVENTS, tiles=True, remember="90d",
    features=flat(PLAIN),
)  # fmt: skip
DISTINCTS = replace(VIEW, name="bench_day_distinct", features=flat((*PLAIN, distinct("device_id", OVER))))


def settings(data: Path) -> Settings:
    """A home inside the data, Derby inside Spark, as many cores and as much memory as peers.py takes."""
    os.environ["ASOF_CONFIG"] = os.devnull
    # Of ten days rows are not few, so that cuts follow from one another; those of one day are.
    few = 2 * sum(path.stat().st_size for path in (data / "events").glob("*.parquet")) // DAYS
    return load(
        home=data / "asof", catalog="benchmarks.w1", metastore={"kind": "embedded"}, spark={"master": "local[2]", "driver_memory": "8g", "few_bytes": few}
    )  # fmt: skip


def cut(day: int) -> int:
    """The one that knows so many days."""
    return START + day * DAY


def run(data: Path, made: Settings, runs: int, view: FeatureView) -> dict[str, Any]:
    """The workload's line."""
    spark = session(made, "bench")
    if not ledger.partitions(made, view.source.name):
        ingest(spark, made, view.source, str(data / "events"))
    for kind in ("features", "tiles"):
        shutil.rmtree(f"{made.tables_root}/{kind}/{view.name}", ignore_errors=True)
    early = _chain(spark, made, view, range(11 - runs, 12))
    tiles.up_to_date(spark, made, view, [cut(day) for day in range(1, DAYS - runs + 1)])
    late = _chain(spark, made, view, range(DAYS - runs, DAYS + 1))
    line: dict[str, Any] = {"workload": "day", "view": view.name, "compared": _compared(data, made, view)}
    for name in early:
        line |= {
            f"day_10_{name}": early[name],
            f"day_90_{name}": late[name],
            f"{name}_90_over_10": round(late[name] / early[name], 3),
        }
    line["full_seconds"] = _full(spark, made, view, runs)
    line["seconds_over_full"] = round(late["seconds"] / line["full_seconds"], 3)
    return line


def _chain(spark: Any, made: Settings, view: FeatureView, days: Sequence[int]) -> dict[str, float]:
    """Medians of the days after the first, which starts from all rows; tiles of the days before it are there."""
    tiles.up_to_date(spark, made, view, [cut(day) for day in range(1, days[0] + 1)])
    found = []
    for day in days:
        seconds, record = _computed(spark, made, view, day)
        if record["follows"] != (day != days[0]):
            raise SystemExit(f"Day {day} {'followed' if record['follows'] else 'did not follow'} from the one before.")
        found.append({"seconds": seconds, "read_bytes": record["read_bytes"], "shuffled_rows": record["shuffled_rows"]})
        print(f"day {day}: {found[-1]}", file=sys.stderr, flush=True)
    return {name: round(statistics.median(each[name] for each in found[1:]), 2) for name in found[0]}


def _computed(spark: Any, made: Settings, view: FeatureView, day: int) -> tuple[float, dict[str, Any]]:
    started = time.perf_counter()
    (attempt,) = compute(spark, made, (view,), [cut(day)])
    return time.perf_counter() - started, attempt.record("finished") or {}


def _full(spark: Any, made: Settings, view: FeatureView, runs: int) -> float:
    """Median seconds of the last cut from all rows: nothing of the cut before is there."""
    shutil.rmtree(f"{attempts.view_root(made, view.name)}/cut={cut_text(cut(DAYS - 1))}")
    found = [_computed(spark, made, view, DAYS)[0] for _ in range(runs + 1)]
    return round(statistics.median(found[1:]), 2)


def _compared(data: Path, made: Settings, view: FeatureView) -> int:
    """Every value of the last cut against DuckDB's."""
    attempt = attempts.finished(made, view, cut(DAYS))
    assert attempt is not None
    # Windows with a step begin on it, and midnight is on every step.
    parts = {"count": "count(*)", "sum_amount_minor": "sum(amount_minor)", "max_amount_minor": "max(amount_minor)"}
    if view is DISTINCTS:
        parts["distinct_device_id"] = "least(count(distinct device_id), 1000)"
    wanted, names = [], []
    for label, seconds in SECONDS.items():
        lower = cut(DAYS) - seconds * 1_000_000
        for name, value in parts.items():
            over = f"{value} filter (epoch_us(ts) >= {lower})"
            wanted.append(f"{over if name.startswith('max') else f'coalesce({over}, 0)'} {name}_{label}")
            names.append(f"{name}_{label}")
    con = duckdb.connect()
    con.execute("set threads=2; set memory_limit='12GB'")
    con.execute(
        f"create table wanted as select user_id, {', '.join(wanted)} from '{data}/events/*.parquet' where epoch_us(ts) < {cut(DAYS)} group by user_id"
    )
    different = " + ".join(f"count_if(w.{name} is distinct from g.{name})" for name in names)
    found = con.execute(
        f"select count(w.user_id), count(g.user_id), {different} from wanted w full join '{attempt.location}/*.parquet' g using (user_id)"
    ).fetchone()
    if found is None or found[0] != found[1] or found[2]:
        raise SystemExit(f"The last cut's values are not DuckDB's: {found}.")
    return int(found[0]) * len(names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--distinct", action="store_true")
    args = parser.parse_args()
    where = args.data.resolve()
    print(json.dumps(run(where, settings(where), args.runs, DISTINCTS if args.distinct else VIEW)), flush=True)
