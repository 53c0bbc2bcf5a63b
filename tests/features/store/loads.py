"""Loads of plain rows into Redis as the job does them, without Spark."""

import pyarrow as pa

from features.store.cluster_store import ClusterStore
from features.store.heads import Layout, Loaded
from features.store.redis_rows import remove_rows, write_rows
from features.store.redis_store import RedisStore
from tests.features.store.hostile_rows import CUT, HOUR, make_view

__all__ = ["NOW", "SIMPLE", "opened", "put", "simple"]

NOW = CUT + 30 * HOUR
SIMPLE = make_view("simple", keys=("key",), features="i")


def opened(url: str) -> RedisStore:
    """A cluster's."""
    return ClusterStore(url.replace("://", "+cluster://"))


def simple(keys: range, value: int) -> pa.RecordBatch:
    """Rows of `SIMPLE`, all of one value."""
    names = [f"k{number:04}" for number in keys]
    return pa.RecordBatch.from_pydict(
        {"key": names, "i": pa.array([value] * len(names), pa.int64()), "asof_status": ["ok"] * len(names)}
    )


def put(store: RedisStore, layout: Layout, batch: pa.RecordBatch, before: pa.RecordBatch | None = None) -> Loaded:
    """A load: dropped keys by a list of those before, else by scan."""
    with store.loading(layout, NOW) as load_:
        if load_.settled is not None:
            return load_.settled
        load_.begin()
        written = sum(write_rows(store.url, load_.task, [batch]))
        if before is None:
            removed = load_.remove_by_scan()
        else:
            kept = set(batch.column("key").to_pylist())
            dropped = pa.RecordBatch.from_pydict(
                {"key": [key for key in before.column("key").to_pylist() if key not in kept]}
            )
            removed = sum(remove_rows(store.url, load_.task, [dropped]))
        return load_.end(written=written, removed=removed)
