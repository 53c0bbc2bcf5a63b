"""Requests a second of `asof serve` and of `feast serve`, in turn, on one Redis: 1 row x 100 features of W3, 2 workers each; prints one JSON line.

    python benchmarks/http_service.py DATA --redis-port 6379 [--runs 3]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote; needs a Redis that may be filled, and wrk (Debian's). Both stores are loaded with the same values.
First 200 users are asked of both services, as JSON and as Arrow, and every value is compared with DATA's. Then wrk asks for two seconds, with 4 connections and
1, in turn, five turns a run; the first turn is a warm-up and is not printed. Ratios are of the same turn, and their median is printed: what a machine gives that has
other guests changes by half within a minute. Nobody is asked for a token, as in `feast serve`.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402 - the repository comes first
from benchmarks.w3 import CATALOG, CUT, VIEWS  # noqa: E402
from features.store.heads import STATUS, Layout  # noqa: E402
from features.store.redis_rows import write_rows  # noqa: E402
from features.store.redis_store import RedisStore  # noqa: E402

WORKERS, SECONDS, TURNS, CHECKED = 2, 2, 5, 200
ARROW = "application/vnd.apache.arrow.stream"
FEATURES = [f"{view.name}:{name}" for view in VIEWS for name in view.types]
Answer = dict[str, list[Any]]


def fill(data: Path, url: str) -> int:
    """Asof's layout of W3; how many users there are."""
    store, users = RedisStore(url), 0
    for view in VIEWS:
        table = pq.read_table(data / "online" / f"{view.name}.parquet", columns=["user_id", *view.types])
        table = table.append_column(STATUS, pa.array(["ok"] * len(table)))
        layout = Layout.of(view, CUT)
        with store.loading(layout, CUT + view.schedule.lag_us) as load:
            load.begin()
            written = sum(write_rows(url, load.task, table.to_batches()))
            load.end(written=written, removed=0)
        users = len(table)
    store.close()
    return users


@contextmanager
def serving(command: list[str], port: int, **more: str) -> Iterator[str]:
    """The address of a service that answers."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env={**os.environ, **more}, stdout=log, stderr=log, cwd=ROOT)
        try:
            for _ in range(600):
                try:
                    httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def body(users: list[int]) -> dict[str, Any]:
    """A request that both services take."""
    return {"features": FEATURES, "entities": {"user_id": users}, "full_feature_names": True}


def asked(url: str, users: list[int], accept: str = "application/json") -> Answer:
    """Feature to values."""
    response = httpx.post(f"{url}/get-online-features", json=body(users), headers={"Accept": accept}, timeout=30)
    raw = response.raise_for_status().content
    if accept == ARROW:
        return {
            name: column.to_pylist() for name, column in zip(*_columns(pa.ipc.open_stream(raw).read_all()), strict=True)
        }
    answer = json.loads(raw)
    return dict(
        zip(answer["metadata"]["feature_names"], [result["values"] for result in answer["results"]], strict=True)
    )


def _columns(table: pa.Table) -> tuple[list[str], list[pa.ChunkedArray]]:
    return table.column_names, table.columns


def check(data: Path, url: str, users: list[int], accept: str = "application/json") -> int:
    """How many values are DATA's; all of them, or it ends here."""
    got, compared = asked(url, users, accept), 0
    for view in VIEWS:
        table = pq.read_table(data / "online" / f"{view.name}.parquet", columns=["user_id", *view.types])
        places = {user: place for place, user in enumerate(table["user_id"].to_pylist())}
        for name in view.types:
            wanted = table[name].take(pa.array([places[user] for user in users])).to_pylist()
            if got[f"{view.name}__{name}"] != wanted:
                raise SystemExit(f"{url} gives other values of {name} than {data} has.")
            compared += len(wanted)
    return compared


def wrk(url: str, script: Path, connections: int) -> dict[str, float]:
    """Requests a second, and p50 and p99 in milliseconds."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script), f"{url}/get-online-features"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in done:
        raise SystemExit(f"{url} refused requests:\n{done}")
    return {
        "requests": float(_found(r"Requests/sec:\s+([\d.]+)", done)),
        "p50_ms": _ms(done, "50%"),
        "p99_ms": _ms(done, "99%"),
    }


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk did not say {pattern}:\n{text}")
    return match[1]


def _ms(text: str, share: str) -> float:
    value = _found(rf"{share}\s+([\d.]+(?:us|ms|s))", text)
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", value).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def script(folder: Path, users: int, accept: str) -> Path:
    """wrk's: another user in each request."""
    head, tail = json.dumps(body([424242])).split("424242")
    path = folder / f"{re.sub('[^a-z]', '', accept)}.lua"
    path.write_text(
        f"math.randomseed(7)\nrequest = function() return wrk.format('POST', nil, {{['Content-Type']='application/json', ['Accept']='{accept}'}}, "
        f"'{head}' .. math.random(0, {users - 1}) .. '{tail}') end\n"
    )
    return path


def run(data: Path, redis_port: int, runs: int) -> dict[str, Any]:
    """The workload's line, once its values are checked."""
    url = f"redis://127.0.0.1:{redis_port}/0"
    users = fill(data, url)
    store, _, _ = peers.online_store(str(data), redis_port)
    peers.load(store)
    ours, theirs = free_port(), free_port()
    asof = [sys.executable, "-m", "jobs", "serve", "--port", str(ours), "--workers", str(WORKERS)]
    feast = [
        str(Path(sys.executable).with_name("feast")),
        "-c",
        str(store.repo_path),
        "serve",
        "-h",
        "127.0.0.1",
        "-p",
        str(theirs),
        "-w",
        str(WORKERS),
    ]
    feast += ["--no-access-log"]
    variables = {
        "ASOF_CONFIG": os.devnull, "ASOF_HOME": str(data / "asof"), "ASOF_CATALOG": CATALOG, "ASOF_ONLINE__KIND": "redis", "ASOF_ONLINE__URL": url,
        "ASOF_SERVING__AUTH": "none", "ASOF_CLOCK": "2026-01-01T06:00:00Z",
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {}
    some = list(range(0, users, users // CHECKED))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(asof, ours, **variables) as mine,
        serving(feast, theirs) as other,
    ):
        compared = check(data, mine, some) + check(data, mine, some, ARROW) + check(data, other, some)
        plain, arrow = (script(Path(folder), users, accept) for accept in ("application/json", ARROW))
        for turn in range(runs * TURNS + 1):
            for connections in (4, 1):
                for name, where, lua in (("asof", mine, plain), ("asof_arrow", mine, arrow), ("feast", other, plain)):
                    one = wrk(where, lua, connections)
                    print(f"{name} with {connections}: {one}", file=sys.stderr, flush=True)
                    if turn:
                        found.setdefault(f"{name}_{connections}", []).append(one)
    line: dict[str, Any] = {"workload": "http", "compared": compared, "workers": WORKERS}
    for name, all_of in found.items():
        line[name] = {part: round(statistics.median(one[part] for one in all_of), 2) for part in all_of[0]}
    for connections in (4, 1):
        for name in ("asof", "asof_arrow"):
            turns = zip(found[f"{name}_{connections}"], found[f"feast_{connections}"], strict=True)
            ratios = [mine["requests"] / other["requests"] for mine, other in turns]
            line[f"{name}_{connections}_over_feast"] = round(statistics.median(ratios), 1)
    return line


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: `apt-get install wrk`, then run the same command again.")
    print(json.dumps(run(args.data.resolve(), args.redis_port, args.runs)), flush=True)
