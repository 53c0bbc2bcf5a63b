"""Are a frame's values right? Each check computes them another way and fails on the first difference; gives how many values it compared."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

from benchmarks import w1

SECONDS = {"1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000}
SECOND, DAY = 1_000_000, 86_400_000_000
SAMPLE, MANY = 100, 2_000_000
NAMES = {"n": "count", "s": "sum_amount_minor", "m": "max_amount_minor", "d": "distinct_device_id"}


def _windows(events: str, asks: str, where: str) -> str:
    """peers.py's query, for one filter."""
    select, windows = [], []
    for name, seconds in SECONDS.items():
        over = f"filter (kind = 0 and {where}) over w_{name}"
        select += [
            f"count(*) {over} n_{name}",
            f"coalesce(sum(amount_minor) {over}, 0)::bigint s_{name}",
            f"max(amount_minor) {over} m_{name}",
            f"count(distinct device_id) {over} d_{name}",
        ]
        windows.append(
            f"w_{name} as (partition by user_id order by epoch_us(ts) range between {seconds * SECOND} preceding and 1 preceding)"
        )
    return (
        f"select * exclude (kind) from (select ask_id, user_id, kind, {', '.join(select)} from (select null ask_id, user_id, ts, amount_minor, "
        f"device_id, 0 kind from {events} union all select ask_id, user_id, ts, null, null, 1 from {asks}) window {', '.join(windows)}) where kind = 1"
    )


def _same(got: str, view: str, wanted: str) -> int:
    """Every value of a view's frame against a query's, joined by ask_id."""
    con = duckdb.connect()
    con.execute("set threads=2; set memory_limit='12GB'")
    con.execute(f"create table wanted as {wanted}")
    pairs = [
        (f"{letter}_{length}", f'"{view}__{name}_{length}"') for letter, name in NAMES.items() for length in SECONDS
    ]
    different = ", ".join(f"count_if(w.{theirs} is distinct from g.{ours})" for theirs, ours in pairs)
    rows, *counts = con.execute(
        f"select count(*), {different} from wanted w left join '{got}' g using (ask_id)"
    ).fetchone()
    expected = con.execute("select count(*) from wanted").fetchone()[0]
    wrong = {theirs: count for (theirs, _), count in zip(pairs, counts, strict=True) if count}
    if wrong or rows != expected:
        raise SystemExit(f"{got}: values differ from DuckDB's: {wrong}; {rows} rows for {expected}.")
    return rows * len(pairs)


def frame(data: Path, got: Path) -> int:
    """All rows against DuckDB; of more than two million asks those of a fiftieth of the users."""
    asks = sum(pq.ParquetFile(path).metadata.num_rows for path in (data / "asks").glob("*.parquet"))
    if asks > MANY:
        events, asked = _some(data)
        return _same(str(got), "w1", _windows(events, asked, "true"))
    return _same(str(got), "w1", _windows(f"'{data}/events/*.parquet'", f"'{data}/asks/*.parquet'", "true"))


def _some(data: Path) -> tuple[str, str]:
    """Events and asks of a fiftieth of the users."""
    events, asks = (f"(select * from '{data}/{name}/*.parquet' where user_id % 50 = 7)" for name in ("events", "asks"))
    return events, asks


def skew(data: Path, got: Path) -> int:
    """All rows but the one user's, and a few hundred of those by hand."""
    others = _same(str(got), "w1_skew", _windows(
        f"(select * from '{data}/skewed/*.parquet' where user_id != 0)", f"(select * from '{data}/asks_skewed/*.parquet' where user_id != 0)", "true",
    ))  # fmt: skip
    return others + _by_hand(data, got)


def _by_hand(data: Path, got: Path) -> int:
    """Some of the heavy user's asks, each window cut out of its sorted events."""
    events = pq.read_table(data / "skewed", filters=[("user_id", "=", 0)])
    time = events["ts"].cast("int64").to_numpy()
    order = np.argsort(time, kind="stable")
    time, amount, device = time[order], events["amount_minor"].to_numpy()[order], events["device_id"].to_numpy()[order]
    rows = pq.read_table(got, filters=[("user_id", "=", 0)])
    compared = 0
    for at in np.random.default_rng(1).choice(len(rows), min(SAMPLE, len(rows)), replace=False):
        row = rows.slice(int(at), 1).to_pylist()[0]
        t = int(row["event_timestamp"].timestamp()) * SECOND + row["event_timestamp"].microsecond
        for length, seconds in SECONDS.items():
            lo, hi = np.searchsorted(time, [t - seconds * SECOND, t])
            _compare(row, "w1_skew", length, amount[lo:hi], device[lo:hi])
            compared += 4
    return compared


def _compare(row: dict[str, Any], view: str, length: str, amount: np.ndarray, device: np.ndarray) -> None:
    wanted = {
        "n": len(amount),
        "s": int(amount.sum()),
        "m": int(amount.max()) if len(amount) else None,
        "d": len(np.unique(device)),
    }
    for letter, value in wanted.items():
        found = row[f"{view}__{NAMES[letter]}_{length}"]
        if found != value:
            raise SystemExit(f"{view} ask {row['ask_id']}: {letter}_{length} is {found}, by hand {value}.")


def wide(data: Path, got: Path) -> int:
    """A fiftieth of the users, every filter."""
    some = _some(data)
    return sum(_same(str(got), f"w1_over_{least}", _windows(*some, f"amount_minor >= {least}")) for least in w1.FILTERS)


def known(data: Path, got: Path) -> int:
    """Some asks by hand, from the raw versions and semantics.md alone: first versions at once where they are prompt, all else from the next cut on, plus 1 h."""
    rows = pq.read_table(got)
    chosen = np.random.default_rng(2).choice(len(rows), min(10 * SAMPLE, len(rows)), replace=False)
    rows = rows.take(np.sort(chosen))
    raw = pq.read_table(data / "known", filters=[("user_id", "in", rows["user_id"].unique().to_pylist())])
    raw = raw.sort_by([("user_id", "ascending")])
    users = raw["user_id"].to_numpy(zero_copy_only=False)
    columns = {
        name: raw[name].to_numpy(zero_copy_only=False)
        for name in ("event_id", "version", "deleted", "device_id", "amount_minor")
    }
    columns |= {name: raw[name].cast("int64").to_numpy() for name in ("ts", "known_at")}
    compared = 0
    for row in rows.to_pylist():
        t = round(row["event_timestamp"].timestamp() * SECOND)
        lo, hi = (
            np.searchsorted(users, [row["user_id"]], "left")[0],
            np.searchsorted(users, [row["user_id"]], "right")[0],
        )
        mine = {name: values[lo:hi] for name, values in columns.items()}
        standing = _standing(mine, t)
        for length, seconds in SECONDS.items():
            inside = standing & (mine["ts"] >= t - seconds * SECOND) & (mine["ts"] < t)
            _compare(row, "w1_known", length, mine["amount_minor"][inside], mine["device_id"][inside])
            compared += 4
    return compared


def _standing(rows: dict[str, np.ndarray], t: int) -> np.ndarray:
    """Which versions count at t: the highest one seen of each event, if it is not deleted."""
    first = rows["version"] == 0
    prompt = first & (rows["known_at"] - rows["ts"] <= 3600 * SECOND)
    from_cut = (rows["known_at"] // DAY + 1) * DAY + 3600 * SECOND
    seen = np.where(prompt, rows["known_at"], from_cut) <= t
    corrected = set(rows["event_id"][seen & ~first].tolist())
    replaced = first & np.isin(rows["event_id"], list(corrected))
    return seen & ~replaced & ~rows["deleted"]
