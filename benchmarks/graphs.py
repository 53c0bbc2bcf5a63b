"""A graph of 1 and 5 million edges derived up to a cut, and training rows asked of it; prints one JSON line of run.py's shape.

    python benchmarks/graphs.py DATA [--edges 1000000] [--runs 1]

Accounts use devices within groups of five accounts, and one account in ten also uses the same public terminal, a hub of 36,000 neighbours at a million
edges and of 181,000 at five: it must link nobody, and only its first accounts join a component through it. Rows are written and ingested once, into DATA/graphs-EDGES; what is timed is
all that `asof graph` does (a home as it was ingested for each run), then a frame of 100,000 rows asked for links and components. Checked: every component's size at
the last cut against `scipy.sparse.csgraph.connected_components` of the same edges, whose time is the peer's, and that nobody is linked through the hub.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features import (  # noqa: E402 - the repository comes first
    Entity,
    FeatureService,
    FeatureView,
    Graph,
    Relation,
    Source,
    distinct,
    fields,
    flat,
    load_catalog,
    sum_,
)
from features.definitions.names import micros  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from jobs import ledger  # noqa: E402
from jobs.frame import frame  # noqa: E402
from jobs.graph import derive  # noqa: E402
from jobs.ingest import ingest  # noqa: E402
from jobs.session import spark as session  # noqa: E402

ACCOUNT = Entity(name="account", keys=("account",), type="int64")
USES = Source(
    name="uses", table="bench.uses", known_at="known", event_id="id",
    columns=(*fields("int64", "id account device"), *fields("timestamp", "event_time known")),
)  # fmt: skip
GRAPH = Graph(name="used", entity=ACCOUNT, relations=(Relation(name="device", sources=(USES,), to="device", hub=20),))
LINKS = FeatureView(
    name="used_links",
    entity=ACCOUNT,
    source=GRAPH.links,
    features=flat((distinct("other", "7d 30d ever", limit=50),)),
)
COMPONENT = FeatureView(
    name="used_component",
    entity=ACCOUNT,
    source=GRAPH.components,
    features=flat((sum_("entities_added", "7d 30d ever"), sum_("nodes_added", "ever"))),
)
SERVICE = FeatureService(name="used_v1", views=(LINKS, COMPONENT))
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
CUT = START + timedelta(days=DAYS)
ASKS = 100_000
TERMINAL = -1


def rows(edges: int) -> pa.Table:
    """Who used what, when: as many different pairs, in the order of time."""
    rng = np.random.default_rng(3)
    accounts = edges * 4 // 11
    own = np.arange(edges - accounts // 10) // 2 % accounts
    # Two devices of the group's four and, the third time around, a third one.
    device = own // 5 * 4 + (own + np.arange(len(own)) // accounts + np.arange(len(own)) % 2) % 4
    public = np.arange(accounts // 10) * 10
    account, device = np.append(own, public), np.append(device, np.full(len(public), TERMINAL))
    both = np.unique(np.stack((account, device)), axis=1)
    at = micros(START) + rng.integers(0, DAYS * 86_400_000_000 - 1, both.shape[1])
    order = np.argsort(at)
    instants = pa.array(at[order]).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {"id": np.arange(len(order)), "account": both[0][order], "device": both[1][order], "event_time": instants, "known": instants}
    )  # fmt: skip


def prepare(home: Path, edges: int) -> Settings:
    """Ingests the rows once; gives the settings of that home."""
    os.environ["ASOF_CONFIG"] = os.devnull
    made = load(
        home=home, catalog="benchmarks.graphs", metastore={"kind": "embedded"}, spark={"master": "local[2]", "driver_memory": "8g"}
    )  # fmt: skip
    if not ledger.partitions(made, USES.name):
        home.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows(edges), home / "uses.parquet")
        ingest(session(made, "bench"), made, USES, str(home / "uses.parquet"))
        labels = pq.read_table(home / "uses.parquet").slice(0, ASKS).select(["account"])
        asked = pa.array(np.full(len(labels), micros(CUT) + 7_200_000_000)).cast(pa.timestamp("us", "UTC"))
        pq.write_table(labels.append_column("event_timestamp", asked), home / "labels.parquet")
    return made


def run(data: Path, edges: int, runs: int) -> dict[str, Any]:
    """The workload's line, once its values are checked."""
    made = prepare(data / f"graphs-{edges}", edges)
    spark, catalog = session(made, "bench"), load_catalog(made.catalog)
    out = made.home / "frame.parquet"
    derived, framed = [], []
    for _ in range(runs):
        (Path(made.tables_root) / "asof" / "graphs" / f"{GRAPH.name}.json").unlink(missing_ok=True)
        started = time.perf_counter()
        derive(spark, made, GRAPH, micros(CUT))
        derived.append(round(time.perf_counter() - started, 1))
        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        frame(spark, made, catalog, labels=str(made.home / "labels.parquet"), service="used_v1", out=str(out))
        framed.append(round(time.perf_counter() - started, 1))
    compared, peer = check(made.home, out)
    pairs = pq.ParquetFile(made.home / "uses.parquet").metadata.num_rows
    return {
        "workload": "graph", "edges": pairs, "seconds": derived, "frame_seconds": framed, "asks": ASKS, "compared": compared,
        "edges_per_second_and_core": round(pairs / statistics.median(derived) / 2), "scipy_seconds": peer,
        "over scipy": round(statistics.median(derived) / peer, 1),
    }  # fmt: skip


def check(home: Path, out: Path) -> tuple[int, float]:
    """How many values were compared, and what the peer took to read the rows and find the components of the last cut alone."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    started = time.perf_counter()
    table = pq.read_table(home / "uses.parquet", columns=["account", "device"])
    account, device = table["account"].to_numpy(), table["device"].to_numpy()
    # What the hub joins: the edges before it had more neighbours than it may.
    hub = np.flatnonzero(device == TERMINAL)
    keep = np.ones(len(device), bool)
    keep[hub[21:]] = False
    accounts = int(account.max()) + 1
    ends = accounts + device - TERMINAL
    size = int(ends.max()) + 1
    edges = coo_array((np.ones(int(keep.sum()), np.int8), (account[keep], ends[keep])), shape=(size, size))
    _, label = connected_components(edges, directed=False)
    sizes = np.bincount(label[:accounts])
    seconds = round(time.perf_counter() - started, 2)
    found = pq.read_table(out)
    asked = found["account"].to_numpy()
    if not np.array_equal(found["used_component__sum_entities_added_ever"].to_numpy(), sizes[label[asked]]):
        raise SystemExit("The components' sizes are not scipy's.")
    # Groups have five accounts; a link through the terminal would give twenty.
    if int(np.max(found["used_links__distinct_other_ever"].to_numpy())) > 4:
        raise SystemExit("Somebody is linked through the hub.")
    return 2 * len(asked), seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    print(json.dumps(run(args.data.resolve(), args.edges, args.runs)), flush=True)
