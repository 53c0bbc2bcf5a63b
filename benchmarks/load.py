"""Loads W3 into Redis from Spark's tasks, as `asof materialize` does of cuts that are not few bytes, beside Feast's own load; prints one JSON line.

    python benchmarks/run.py DATA --only load --against feast-load [--runs 3] [--redis-port 6379]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote: five views of 20 features, a row a user; their types are known before, as those of a table are.
`seconds` is a load of what Asof reads, packed rows (views with feast_layout=False); `both_seconds` of these and of Feast's own hashes, for its stock clients. Keys
that a load before had and this one lacks are looked for, a later load of an earlier cut is refused, and values of 200 users are compared with DATA's after
the first run of either, which is a warm-up and is not printed. Needs a Redis that may be emptied.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import redis

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.w3 import CATALOG, CUT, VIEWS  # noqa: E402 - the repository comes first
from features.definitions.catalog import load_catalog  # noqa: E402
from features.definitions.names import utc  # noqa: E402
from features.definitions.views import FeatureView  # noqa: E402
from features.serving.reader import Reader  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from features.store.heads import STATUS  # noqa: E402
from jobs.materialize import load_view  # noqa: E402
from jobs.session import spark  # noqa: E402
from jobs.stages import side_by_side  # noqa: E402

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = 86_400_000_000
CHECKED = 200


def settings(url: str, cut: int) -> Settings:
    """Of a load an hour after a cut's lag; the clock stands."""
    return load(catalog=CATALOG, online={"kind": "redis", "url": url}, clock=utc(cut + DAY // 4).isoformat())


def published(data: Path, view: FeatureView) -> Path:
    """A view's rows as a published table has them."""
    path = data / "asof-load" / f"{view.name}.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        rows = pq.read_table(data / "online" / f"{view.name}.parquet", columns=["user_id", *view.types])
        pq.write_table(rows.append_column(STATUS, pa.array(["ok"] * len(rows))), path)
    return path


def check(data: Path, url: str, cut: int) -> int:
    """How many values are DATA's; all of them, or it ends here."""
    wanted, compared = {view.name: list(view.types) for view in VIEWS}, 0
    for view in VIEWS:
        table = pq.read_table(data / "online" / f"{view.name}.parquet", columns=["user_id", *view.types])
        some = table.slice(0, CHECKED)
        with Reader(settings(url, cut), load_catalog(CATALOG)) as reader:
            rows = reader.lookup_features(wanted, [{"user_id": user} for user in some["user_id"].to_pylist()]).rows
        for name in view.types:
            meant = some[name].to_pylist()
            if [row.values[f"{view.name}__{name}"] for row in rows] != meant:
                raise SystemExit(f"The store gives other values of {view.name}.{name} than {data} has.")
            compared += len(meant)
    return compared


def loads(session: "SparkSession", data: Path, url: str, runs: int, *, both: bool) -> tuple[list[float], int, int]:
    """Seconds of each run, rows of one, and how many values were compared."""
    redis.Redis.from_url(url).flushdb()
    views = [replace(view, feast_layout=both) for view in VIEWS]
    types = {view.name: session.read.parquet(str(published(data, view))).schema for view in views}
    seconds, compared, written = list[float](), 0, 0  # of the last turn
    for turn in range(runs + 1):
        cut, start = CUT + turn * DAY, time.perf_counter()
        cuts = [CUT + n * DAY for n in range(turn + 1)]

        def one(view: FeatureView, cut: int = cut, cuts: list[int] = cuts) -> int:
            rows = session.read.schema(types[view.name]).parquet(str(published(data, view)))
            return load_view(settings(url, cut), view, cut, lambda _: rows, lambda: cuts).written

        written = sum(side_by_side(one, views))
        if turn:
            seconds.append(round(time.perf_counter() - start, 2))
        else:
            compared = check(data, url, cut)
    late = load_view(settings(url, CUT), views[0], CUT, lambda _: pa.table({}), lambda: [CUT])
    if late.written or late.sentence is None:
        raise SystemExit("An earlier cut was loaded over a later one.")
    return seconds, written, compared


def run(data: Path, port: int, runs: int) -> dict[str, Any]:
    """The workload's line."""
    url = f"redis://127.0.0.1:{port}/0"
    os.environ["ASOF_CONFIG"] = os.devnull
    own = load(
        home=data / "asof-load", metastore={"kind": "embedded"}, spark={"master": "local[2]", "driver_memory": "8g"}
    )
    session = spark(own, "bench")
    both, _, first = loads(session, data, url, runs, both=True)
    seconds, written, second = loads(session, data, url, runs, both=False)
    return {
        "workload": "load",
        "rows": written,
        "seconds": seconds,
        "both_seconds": both,
        "compared": first + second,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(run(args.data.resolve(), args.redis_port, args.runs)), flush=True)
