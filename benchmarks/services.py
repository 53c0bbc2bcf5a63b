"""Lookups of the catalogue's own services, by Asof's reader and by Feast's SDK with its own Redis store, in turn; prints one JSON line.

    python benchmarks/services.py HOME --redis-port 6379 [--runs 3]

HOME is the home of a demo that was run on this Redis:

    ASOF_HOME=HOME ASOF_ONLINE__KIND=redis ASOF_ONLINE__URL=redis://127.0.0.1:6379/0 asof demo

Asked is for payments of its first day, two hours after its last cut, for all features of a service: views of one to fourteen entities, with nulls, texts, and keys that were
never seen. Feast reads the hashes that were loaded beside packed rows. Every value of 200 payments is compared first. All values end in the caller's hands. The first turn is a
warm-up and is not printed.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from feast import FeatureStore
from feast.repo_config import load_repo_config

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.lookups import CALLS, Side, in_python, in_turn  # noqa: E402 - the repository comes first
from features import load_catalog  # noqa: E402
from features.definitions.names import micros, utc  # noqa: E402
from features.serving.reader import Reader  # noqa: E402
from features.settings import load  # noqa: E402
from features.store.redis_store import RedisStore  # noqa: E402

SERVICES = ("radar_v1", "identity_v1", "fraud_v1")
CHECKED = 200
TWO_HOURS = 2 * 3_600_000_000
Rows = list[dict[str, Any]]


def payments(home: Path) -> Rows:
    """Of the first day, as they arrived."""
    files = sorted((home / "landing" / "payments").glob("ds=*/*.parquet"))
    first = files[0].parent
    return [row for file in files if file.parent == first for row in pq.read_table(file).to_pylist()]


def stock(home: Path, port: int) -> FeatureStore:
    """Feast with its own store on the registry that Asof wrote."""
    path = home / "feast"
    written = yaml.safe_load((path / "feature_store.yaml").read_text(encoding="utf-8"))
    online = {"type": "redis", "connection_string": f"127.0.0.1:{port},db=0"}
    own = {"online_store": online, "offline_store": {"type": "dask"}, "batch_engine": {"type": "local"}}
    config = home / "stock_feature_store.yaml"
    config.write_text(yaml.safe_dump(written | own), encoding="utf-8")
    return FeatureStore(config=load_repo_config(path, config))


def compared(reader: Reader, store: FeatureStore, service: str, keys: Rows, at: int) -> int:
    """How many values are the same. Feast has null for a key that it never saw.

    Raises:
        SystemExit: one is another.
    """
    found = reader.lookup(service, keys, at)
    theirs = asked(store, service)([dict(key) for key in found.keys])
    count = 0
    for view in found.views:
        for name, cells in view.values.items():
            for place, (cell, status) in enumerate(zip(cells, view.statuses, strict=True)):
                other = theirs[f"{view.view}__{name}"][place]
                other = micros(other) if isinstance(other, datetime) else other
                if status == "never_seen":
                    continue
                if repr(other) != repr(cell):
                    raise SystemExit(f"{view.view}.{name} of {keys[place]} is {cell!r}, but {other!r} by Feast.")
                count += 1
    return count


def asked(store: FeatureStore, service: str) -> Callable[[Rows], dict[str, list[Any]]]:
    """Asks Feast's SDK."""
    features = store.get_feature_service(service)

    def call(keys: Rows) -> dict[str, list[Any]]:
        answer: dict[str, list[Any]] = store.get_online_features(features, keys, full_feature_names=True).to_dict()
        return answer

    return call


def measured(reader: Reader, store: FeatureStore, service: str, rows: Rows, runs: int, at: int) -> dict[str, Any]:
    """Of one service: milliseconds of both, and their ratio."""
    columns = list(reader.of_service(service).keys.required)
    own = [{name: row[name] for name in columns} for row in rows]
    same = compared(reader, store, service, own[:CHECKED], at)
    whole = [
        dict(key) for key in reader.lookup(service, own, at).keys
    ]  # Feast needs what follows from other columns too
    rng = np.random.default_rng(3)

    def drawn(of: Rows) -> Callable[[int], Rows]:
        return lambda count: [of[place] for place in rng.integers(0, len(of), count)]

    sides: dict[str, Side] = {
        "asof": (drawn(own), lambda keys: in_python(reader.lookup(service, keys, at))), "feast": (drawn(whole), asked(store, service)),
    }  # fmt: skip
    print(f"{service}:", file=sys.stderr, flush=True)
    found = in_turn(sides, runs)
    line: dict[str, Any] = {"compared": same, "features": len(in_python(reader.lookup(service, own[:1], at)))}
    for count in CALLS:
        p50 = {
            name: statistics.median(one[f"rows_{count}"]["p50_ms"] for one in times) for name, times in found.items()
        }
        line |= {f"{name}_{count}_p50_ms": round(value, 3) for name, value in p50.items()}
        line[f"feast_over_asof_{count}"] = round(p50["feast"] / p50["asof"], 1)
    return line


def run(home: Path, port: int, runs: int) -> dict[str, Any]:
    """The workload's line."""
    url, home = f"redis://127.0.0.1:{port}/0", home / "demo"
    made = load(home=home, online={"kind": "redis", "url": url})
    catalog, held = load_catalog(made.catalog), RedisStore(url)
    views = {view.name for name in SERVICES for view, _ in catalog.views_of(catalog.service(name))}
    heads = [head for view in views if (head := held.head(view)) is not None]
    if len(heads) < len(views):
        raise SystemExit(f"{url} holds {len(heads)} of {len(views)} views: run the demo on it, see --help.")
    at = max(head.cut for head in heads) + TWO_HOURS
    rows, store = payments(home), stock(home, port)
    with Reader(load(home=home, online=made.online.model_dump(), clock=utc(at).isoformat()), catalog) as reader:
        return {"workload": "services", **{name: measured(reader, store, name, rows, runs, at) for name in SERVICES}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(run(args.home.resolve(), args.redis_port, args.runs)), flush=True)
