"""Lookups by Asof's Python reader on Redis beside Feast's SDK, in turn, on one Redis; prints one JSON line.

    python benchmarks/lookups.py DATA --only lookup|lookup-windows|lookup-tails --redis-port 6379 [--runs 3]

DATA is what `benchmarks/workloads.py DATA --scale S` wrote; needs a Redis that may be emptied.

lookup          100 plain values of five views (W3), 1, 10 and 100 rows a call; all values of 200 users are compared with DATA's first
lookup-windows  five views of 4 operations x 5 windows (w3_windows.py) over W1's events at the cut of day 89, of every tenth user; keys are drawn by
                the events' own weights, t = cut + U(0, 24h); 1,000 answers are compared with DuckDB's over the raw events first. Feast looks up as
                many plain values. `bulk_us_a_window` is finishing alone, without the store: 1,000 rows in one call, the answer as Arrow columns.
lookup-tails    the same once the events of the following day were pushed: keys are drawn by those, so that each has a tail beside its state

Every call ends with all values in the caller's hands: as Python has them, a list a feature, on both sides; `asof_arrow` are the same calls that end with an
Arrow table (`Reader.table`), as bulk callers take them. The first turn of each side is a warm-up and is not printed. The ratios are of p50, Feast's over Asof's.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402 - the repository comes first
from benchmarks.http_service import fill  # noqa: E402
from benchmarks.w3 import CATALOG, CUT, VIEWS  # noqa: E402
from benchmarks.w3_windows import CATALOG as WINDOWS  # noqa: E402
from benchmarks.w3_windows import EVENTS, LEAST, LIMIT  # noqa: E402
from benchmarks.w3_windows import VIEWS as WINDOW_VIEWS  # noqa: E402
from features.definitions.catalog import load_catalog  # noqa: E402
from features.definitions.names import STATE, utc  # noqa: E402
from features.serving.push import push  # noqa: E402
from features.serving.reader import Reader, Result  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from features.store.heads import Layout  # noqa: E402
from features.store.redis_states import write_states  # noqa: E402
from features.store.redis_store import RedisStore  # noqa: E402
from features.values.state.finish import Stated, finish_together  # noqa: E402
from features.values.state.pack import pack  # noqa: E402
from features.values.timeline import Asks, Rows, timeline  # noqa: E402

DAY = 86_400_000_000
START = 1_760_054_400_000_000
"""Of the events, in microseconds."""

LATE_CUT = START + 89 * DAY
CALLS = {1: 1000, 10: 300, 100: 60}
EVERY, CHECKED, BULK, PUSHED = 10, 1000, 1000, 1000
COUNTED = {
    "count": "count(e.us) {}", "sum": "coalesce(sum(e.amount_minor) {}, 0)", "max": "max(e.amount_minor) {}",
    "distinct": f"least({LIMIT}, count(DISTINCT e.device_id) {{}})",
}  # fmt: skip
Times = dict[str, dict[str, float]]
Side = tuple[Callable[[int], Any], Callable[[Any], Any]]
"""What draws a request of so many rows, and what asks for it."""


def settings(url: str, catalog: str, at: int) -> Settings:
    """A reader's; the clock stands."""
    return load(catalog=catalog, online={"kind": "redis", "url": url}, clock=utc(at).isoformat())


def timed(draw: Callable[[int], Any], call: Callable[[Any], Any]) -> Times:
    """p50 and p99 in milliseconds, of calls for 1, 10 and 100 rows."""
    made: Times = {}
    for rows, calls in CALLS.items():
        asked, took = [draw(rows) for _ in range(calls)], []
        for one in asked:
            start = time.perf_counter()
            call(one)
            took.append((time.perf_counter() - start) * 1e3)
        took.sort()
        made[f"rows_{rows}"] = {"p50_ms": took[calls // 2], "p99_ms": took[int(calls * 0.99)]}
    return made


def in_turn(sides: dict[str, Side], runs: int) -> dict[str, list[Times]]:
    """The times of each side; the first turn is a warm-up and is left out."""
    found: dict[str, list[Times]] = {name: [] for name in sides}
    for turn in range(runs + 1):
        for name, side in sides.items():
            one = timed(*side)
            print(f"{name}: {one}", file=sys.stderr, flush=True)
            if turn:
                found[name].append(one)
    return found


def feast(data: Path, port: int) -> tuple[Callable[[int], Any], Callable[[Any], Any]]:
    """Draws users, and looks 100 plain values of them up by Feast's SDK."""
    store, refs, users = peers.online_store(str(data), port)
    peers.load(store)
    rng = np.random.default_rng(3)
    return (
        lambda rows: [{"user_id": int(user)} for user in rng.integers(0, users, rows)],
        lambda keys: store.get_online_features(features=refs, entity_rows=keys).to_dict(),
    )


def in_python(found: Result) -> dict[str, Any]:
    """All values as Python has them."""
    return {f"{view.view}__{name}": cells for view in found.views for name, cells in view.values.items()}


def in_arrow(reader: Reader, found: Result) -> dict[str, Any]:
    """The same, made of the Arrow table."""
    return {
        name: cells
        for name, cells in reader.table(found).to_pydict().items()
        if "__" in name and "asof_status" not in name
    }


def plain(data: Path, url: str) -> tuple[Callable[[int], Any], Callable[[Any], Result], Reader, int]:
    """The same by Asof's reader, once the values of some users are compared."""
    users = fill(data, url)
    reader = Reader(settings(url, CATALOG, CUT + 6 * 3_600_000_000), load_catalog(CATALOG))
    wanted = {view.name: list(view.types) for view in VIEWS}
    some = list(range(0, users, users // 200))
    found, compared = reader.lookup_features(wanted, [{"user_id": user} for user in some]), 0
    answers = in_python(found), in_arrow(reader, found)
    for view in VIEWS:
        table = pq.read_table(data / "online" / f"{view.name}.parquet", columns=["user_id", *view.types])
        places = {user: place for place, user in enumerate(table["user_id"].to_pylist())}
        for name in view.types:
            meant = table[name].take(pa.array([places[user] for user in some])).to_pylist()
            if any(list(answer[f"{view.name}__{name}"]) != meant for answer in answers):
                raise SystemExit(f"The reader gives other values of {name} than {data} has.")
            compared += len(meant) * len(answers)
    rng = np.random.default_rng(3)
    return (
        lambda count: [{"user_id": int(user)} for user in rng.integers(0, users, count)],
        lambda keys: reader.lookup_features(wanted, keys),
        reader,
        compared,
    )


def packed(data: Path) -> tuple[np.ndarray, np.ndarray, list[list[bytes | None]]]:
    """Every tenth user, the share of events each has, and its states, a list a view."""
    table = pq.read_table(data / "events")
    user, ts = table["user_id"].to_numpy(), table["ts"].cast(pa.int64()).to_numpy()
    chosen = (ts < LATE_CUT) & (user % EVERY == 0)
    rows = table.filter(pa.array(chosen)).combine_chunks()
    users, codes, counts = np.unique(user[chosen], return_inverse=True, return_counts=True)
    columns = {name: rows[name].combine_chunks() for name in EVENTS.types}
    known, never = ts[chosen], np.zeros(len(rows), bool)
    read = Rows(
        key=codes.astype(np.int64), time=known, known=known, retract=never, undoes=np.zeros(len(rows), np.int64), first=~never, columns=columns
    )  # fmt: skip
    line = timeline(read, EVENTS, WINDOW_VIEWS[0].freshness)
    made = [pack(view, {EVENTS.name: line}, len(users), LATE_CUT).to_pylist() for view in WINDOW_VIEWS]
    return users, counts / counts.sum(), made


def fill_windows(url: str, users: np.ndarray, states: list[list[bytes | None]]) -> None:
    """The states of each view, as its load writes them."""
    store = RedisStore(url)
    for view, found in zip(WINDOW_VIEWS, states, strict=True):
        layout = Layout.of(view, LATE_CUT)
        batch = pa.table({"user_id": users, STATE: pa.array(found, pa.binary())}).drop_null().to_batches()
        with store.loading_states(layout, LATE_CUT) as loading:
            loading.begin()
            loading.show(sum(write_states(url, layout, loading.generation, loading.token, batch)))
            loading.end(lambda _: 0)
    store.close()


def push_tails(data: Path, url: str, users: np.ndarray) -> np.ndarray:
    """What happened in the day after the cut goes into these users' tails; the share of those events that each has."""
    table = pq.read_table(data / "events").sort_by("ts")
    user, ts = table["user_id"].to_numpy(), table["ts"].cast(pa.int64()).to_numpy()
    chosen = (ts >= LATE_CUT) & (ts < LATE_CUT + DAY) & np.isin(user, users)
    rows = table.select(list(EVENTS.types)).filter(pa.array(chosen))
    made, catalog = settings(url, WINDOWS, LATE_CUT + DAY), load_catalog(WINDOWS)
    for first in range(0, len(rows), PUSHED):
        done = push(made, catalog, EVENTS.name, rows.slice(first, PUSHED))
        if done.refused or done.known:
            raise SystemExit(f"Events were not taken in: {done}")
    counts = np.bincount(np.searchsorted(users, user[chosen]), minlength=len(users))
    shares: np.ndarray = counts / counts.sum()
    return shares


def duck(data: Path, users: list[int], instants: list[int], until: int) -> list[dict[str, int | None]]:
    """What DuckDB counts, an ask, over events that happened before an instant (microseconds UTC), and before it is asked."""
    parts = []
    for view, least in zip(WINDOW_VIEWS, LEAST, strict=True):
        for feature in view.features:
            window = feature.window  # type: ignore[union-attr]
            low = f"(a.t - {window.length_us}) - (a.t - {window.length_us}) % {window.step_us}"
            held = f"e.us >= {low} AND e.us < a.t AND e.amount_minor >= {least}"
            what = COUNTED[feature.operation].format(f"FILTER ({held})")  # type: ignore[union-attr]
            parts.append(f'{what} AS "{view.name}__{feature.name}"')
    asks = pa.table({"n": range(len(users)), "u": users, "t": instants})
    link = duckdb.connect()
    link.register("a", asks)
    link.execute(
        f"CREATE TABLE e AS SELECT *, epoch_us(ts) AS us FROM '{data}/events/*.parquet' WHERE user_id IN (SELECT u FROM a) AND epoch_us(ts) < {until}"
    )
    found = link.execute(
        f"SELECT a.n, {', '.join(parts)} FROM a LEFT JOIN e ON e.user_id = a.u GROUP BY a.n, a.t ORDER BY a.n"
    ).to_arrow_table()
    rows: list[dict[str, int | None]] = found.drop_columns(["n"]).to_pylist()
    return rows


def windows(
    data: Path, url: str, *, tails: bool
) -> tuple[Callable[[int], Any], Callable[[Any], Result], Reader, dict[str, Any]]:
    """Draws users and instants and looks 100 windows of them up, once some answers are compared; what else is measured."""
    users, weights, states = packed(data)
    fill_windows(url, users, states)
    shares = push_tails(data, url, users) if tails else weights
    reader, rng = Reader(settings(url, WINDOWS, LATE_CUT), load_catalog(WINDOWS)), np.random.default_rng(3)

    def draw(rows: int) -> tuple[list[dict[str, object]], int]:
        keys = [{"user_id": int(user)} for user in rng.choice(users, rows, p=shares)]
        return keys, LATE_CUT + int(rng.integers(0, DAY))

    more: dict[str, Any] = {"users": len(users), "compared": compared(data, reader, draw, LATE_CUT + DAY * tails)}
    if not tails:
        sizes = sorted(len(state) for found in states for state in found if state)
        more |= {
            "bulk_us_a_window": bulk(weights, states, rng), "state_bytes_p50": sizes[len(sizes) // 2],
            "state_bytes_p999": sizes[int(len(sizes) * 0.999)],
        }  # fmt: skip
    return draw, lambda one: reader.lookup("windows", *one), reader, more


def compared(data: Path, reader: Reader, draw: Callable[[int], Any], until: int) -> int:
    """How many values of drawn lookups are DuckDB's, over the events before an instant (microseconds UTC).

    Raises:
        SystemExit: one is another.
    """
    asked = [draw(1) for _ in range(CHECKED)]
    meant = duck(data, [int(str(keys[0]["user_id"])) for keys, _ in asked], [at for _, at in asked], until)
    for (keys, at), wanted in zip(asked, meant, strict=True):
        found = reader.lookup("windows", keys, at)
        got = {name: cells[0] for name, cells in in_python(found).items()}
        if got != wanted or {name: cells[0] for name, cells in in_arrow(reader, found).items()} != wanted:
            differ = [name for name, value in wanted.items() if got[name] != value]
            raise SystemExit(
                f"{keys} at {at}: the reader gives {[(name, got[name], wanted[name]) for name in differ[:3]]}, DuckDB the second."
            )
    return CHECKED * len(meant[0])


def bulk(weights: np.ndarray, states: list[list[bytes | None]], rng: np.random.Generator) -> float:
    """Microseconds a window of many rows, without the store."""
    places = rng.choice(len(weights), BULK, p=weights)
    asks = Asks(key=np.arange(BULK), instant=LATE_CUT + rng.integers(0, DAY, BULK))
    stated = [
        Stated(view=view, cut=LATE_CUT, states=[found[place] for place in places], asks=asks)
        for view, found in zip(WINDOW_VIEWS, states, strict=True)
    ]
    took = []
    for _ in range(11):
        start = time.perf_counter()
        for one in finish_together(stated):
            assert one.values.columns.keys() == one.view.types.keys()
        took.append(time.perf_counter() - start)
    return round(statistics.median(took) * 1e6 / BULK / sum(len(view.types) for view in WINDOW_VIEWS), 3)


def run(data: Path, only: str, port: int, runs: int) -> dict[str, Any]:
    """The workload's line."""
    url = f"redis://127.0.0.1:{port}/0"
    redis.Redis.from_url(url).flushdb()
    line: dict[str, Any] = {"workload": only}
    if only == "lookup":
        draw, call, reader, line["compared"] = plain(data, url)
    else:
        draw, call, reader, more = windows(data, url, tails=only == "lookup-tails")
        line |= more
    sides: dict[str, Side] = {
        "asof": (draw, lambda one: [list(view.values.values()) for view in call(one).views]), "asof_arrow": (draw, lambda one: reader.table(call(one))), "feast": feast(data, port),
    }  # fmt: skip
    found = in_turn(sides, runs)
    for rows in CALLS:
        for name, times in found.items():
            line[f"{name}_{rows}"] = {
                part: round(statistics.median(one[f"rows_{rows}"][part] for one in times), 3)
                for part in ("p50_ms", "p99_ms")
            }
        for name in ("asof", "asof_arrow"):
            line[f"feast_over_{name}_{rows}"] = round(
                line[f"feast_{rows}"]["p50_ms"] / line[f"{name}_{rows}"]["p50_ms"], 1
            )
    return line


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=["lookup", "lookup-windows", "lookup-tails"], required=True)
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(run(args.data.resolve(), args.only, args.redis_port, args.runs)), flush=True)
