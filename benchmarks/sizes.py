"""How much room the same features take in Redis: Feast's own layout, packed rows, and states that give them at any instant; prints one JSON line.

    python benchmarks/run.py DATA --only sizes [--redis-port 6379]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote. Of every tenth user of W1 the 100 windows of w3_windows.py at the cut of day 89 are written
as plain values in Feast's layout (byte for byte what Feast's own writer makes, see tests/features/store/test_redis_store.py), as packed rows beside it,
as packed rows alone, and as states. Room is what Redis says it uses, less what an empty one uses. Needs a Redis that may be emptied.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import redis

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.lookups import LATE_CUT, WINDOW_VIEWS, fill_windows, packed  # noqa: E402 - the repository comes first
from features import FeatureView, Schedule  # noqa: E402
from features.store.heads import STATUS, Layout  # noqa: E402
from features.store.redis_rows import write_rows  # noqa: E402
from features.store.redis_store import RedisStore  # noqa: E402
from features.values.state.finish import Stated, finish_together  # noqa: E402
from features.values.timeline import Asks  # noqa: E402


def used(url: str) -> int:
    """Bytes that Redis holds."""
    client = redis.Redis.from_url(url)
    client.memory_purge()
    return int(client.info("memory")["used_memory"])  # type: ignore[index]  # redis-py's hints know another client


def batches(users: np.ndarray, states: list[list[bytes | None]]) -> list[pa.RecordBatch]:
    """The values at the cut, a view each."""
    asks = Asks(key=np.arange(len(users)), instant=np.full(len(users), LATE_CUT))
    stated = [
        Stated(view=view, cut=LATE_CUT, states=found, asks=asks)
        for view, found in zip(WINDOW_VIEWS, states, strict=True)
    ]
    made = []
    for view, one in zip(WINDOW_VIEWS, finish_together(stated), strict=True):
        columns = {name: one.column(name) for name in view.types}
        made.append(pa.RecordBatch.from_pydict({"user_id": pa.array(users), **columns, STATUS: ["ok"] * len(users)}))
    return made


def write(url: str, views: list[FeatureView], rows: list[pa.RecordBatch]) -> None:
    """Plain values, as their load writes them."""
    store = RedisStore(url)
    for view, batch in zip(views, rows, strict=True):
        layout = Layout.of(view, LATE_CUT)
        with store.loading(layout, layout.valid_from) as load:
            load.begin()
            written = sum(write_rows(url, load.task, [batch]))
            load.end(written=written, removed=0)
    store.close()


def run(data: Path, port: int) -> dict[str, Any]:
    """The workload's line."""
    url = f"redis://127.0.0.1:{port}/0"
    client = redis.Redis.from_url(url)
    users, _, states = packed(data)
    rows = batches(users, states)
    plain = [replace(view, freshness=Schedule(publish_lag="0")) for view in WINDOW_VIEWS]
    bare = [replace(view, feast_layout=False) for view in plain]
    found: dict[str, int] = {}

    def measured(name: str, before: int) -> None:
        found[name] = round((used(url) - before) / len(users))

    client.flushdb()
    empty = used(url)
    write(url, plain, rows)
    measured("feast_and_packed", empty)
    for key in list(client.scan_iter(b"asof:{*", count=5000)):
        client.delete(key)
    measured("feast", empty)
    client.flushdb()
    empty = used(url)
    write(url, bare, rows)
    measured("packed", empty)
    client.flushdb()
    empty = used(url)
    fill_windows(url, users, states)
    measured("states", empty)
    client.flushdb()
    sizes = sorted(len(state) for of_view in states for state in of_view if state)
    return {
        "workload": "sizes", "users": len(users), "features": sum(len(view.types) for view in plain), "bytes_a_user": found,
        "over_feast": {name: round(count / found["feast"], 2) for name, count in found.items() if name != "feast"},
        "state_bytes": {"median": sizes[len(sizes) // 2], "p99.9": sizes[int(len(sizes) * 0.999)], "max": sizes[-1]},
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--runs", type=int, default=1, help="taken and not used: sizes do not vary")
    args = parser.parse_args()
    print(json.dumps(run(args.data.resolve(), args.redis_port)), flush=True)
