"""Point-in-time joins through Feast's own API and Asof's offline store; prints one JSON line.

    python benchmarks/run.py DATA --only pit --against feast-pit,duckdb-asof,polars-asof [--runs 3]

    python benchmarks/pit.py DATA --times 20

W2: 500k labels and 4.5M rows of daily snapshots with ten features, `get_historical_features(...).to_arrow()`, as peers.py's feast-pit takes it. The first
run is a warm-up and not printed; its values are compared with DuckDB's ASOF join, row by row.

With --times the labels come so many times, each time a minute later, as a DataFrame, and the answer is written by tasks: nothing of it passes the driver,
whose memory behind it is printed. All values are compared with DuckDB's once, and nothing is run twice.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psutil
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402 - the repository comes first


def check(data: Path, found: pa.Table) -> int:
    """How many values are DuckDB's; all of them, or it ends here."""
    meant = duckdb.connect().execute(
        f"select l.*, s.* exclude (user_id, event_timestamp) from (select row_number() over () as n, * from '{data}/labels.parquet') l asof left join "
        f"'{data}/snapshots/*.parquet' s on l.user_id = s.user_id and l.event_timestamp >= s.event_timestamp order by n"
    ).to_arrow_table()  # fmt: skip
    if len(found) != len(meant):
        raise SystemExit(f"The frame has {len(found)} rows, the labels are {len(meant)}.")
    names = ["user_id", "label", *(f"f{n}" for n in range(10))]
    for name in names:
        if found[name].to_pylist() != meant[name].to_pylist():
            raise SystemExit(f"The frame gives other values of {name} than DuckDB.")
    return len(names) * len(found)


def many(data: Path, times: int) -> dict[str, Any]:
    """The labels many times over, in and out by tasks."""
    store, refs = peers.pit_store(str(data), "jobs.feast_offline.AsofOfflineStore")
    asked, out = str(data / f"labels-{times}.parquet"), str(data / f"pit-{times}")
    link = duckdb.connect()
    link.execute(
        f"copy (select user_id, event_timestamp + to_minutes(k) as event_timestamp, label, k::int as k from '{data}/labels.parquet', range({times}) t(k)) to '{asked}' (format parquet)"
    )
    session = peers.spark()
    start = time.perf_counter()
    found = store.get_historical_features(entity_df=session.read.parquet(asked), features=refs).to_spark_df()
    found.write.mode("overwrite").parquet(out)
    seconds, held = round(time.perf_counter() - start, 1), psutil.Process().memory_info().rss / 1e6
    rows, wrong = link.execute(
        f"with meant as (select l.*, s.* exclude (user_id, event_timestamp) from '{asked}' l asof left join '{data}/snapshots/*.parquet' s "
        f"on l.user_id = s.user_id and l.event_timestamp >= s.event_timestamp) select (select count(*) from '{out}/*.parquet'), "
        f"(select count(*) from (select user_id, event_timestamp, label, k, {', '.join(f'f{n}' for n in range(10))} from meant "
        f"except all select user_id, event_timestamp, label, k, {', '.join(f'f{n}' for n in range(10))} from '{out}/*.parquet'))"
    ).fetchone() or (0, 1)
    if wrong:
        raise SystemExit(f"{wrong} of {rows} rows are other than DuckDB's.")
    return {"workload": "pit", "rows": rows, "seconds": [seconds], "compared": 10 * rows, "driver_mb": round(held)}


def run(data: Path, runs: int) -> dict[str, Any]:
    """The workload's line, once its values are checked."""
    store, refs = peers.pit_store(str(data), "jobs.feast_offline.AsofOfflineStore")
    labels = pd.read_parquet(data / "labels.parquet")
    seconds, compared = list[float](), 0
    for turn in range(runs + 1):
        start = time.perf_counter()
        found = store.get_historical_features(entity_df=labels, features=refs).to_arrow()
        if turn:
            seconds.append(round(time.perf_counter() - start, 2))
        else:
            compared = check(data, found)
    return {"workload": "pit", "rows": len(labels), "seconds": seconds, "compared": compared}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--times", type=int, default=0)
    args = parser.parse_args()
    made = many(args.data.resolve(), args.times) if args.times else run(args.data.resolve(), args.runs)
    print(json.dumps(made), flush=True)
