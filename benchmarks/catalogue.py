"""The risk catalogue on simulated payments: rows per second and core of the simulator, of a full snapshot, of a radar_v1 frame; a merchant-heavy day.

    python benchmarks/catalogue.py DATA [--payments 1000000] [--days 45]

Days are simulated and ingested once, into DATA/catalogue-PAYMENTS. Then at the last cut: all views are computed from all rows (`asof compute`), and the payments of
the last days, each at its own instant, are asked for all features of radar_v1 (`asof frame`). Rows are those of the sources that are read. Checked: as many keys
are computed as the views' sources have, the frame has one row an ask, and the frame's merchant views of one day equal the values that a small frame gives,
which this process computes without Spark's tasks. The merchant-heavy day is that of the busiest merchant: time and bytes of the merchant views at its cut.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features import load_catalog  # noqa: E402 - the repository comes first
from features.definitions.catalog import Catalog  # noqa: E402
from features.definitions.graphs import graphs_of  # noqa: E402
from features.definitions.names import micros  # noqa: E402
from features.definitions.views import FeatureView  # noqa: E402
from features.settings import Settings, load  # noqa: E402
from jobs import ingest, ledger  # noqa: E402
from jobs.commands import Ingest  # noqa: E402
from jobs.compute import compute  # noqa: E402
from jobs.files import bytes_of, parquet_files, parquet_table  # noqa: E402
from jobs.frame import frame  # noqa: E402
from jobs.graph import derive  # noqa: E402
from jobs.session import spark as session  # noqa: E402
from jobs.simulate.sample import sample  # noqa: E402
from jobs.simulate.simulation import simulate  # noqa: E402

START = date(2026, 1, 5)
CORES = 2
SERVICE = "radar_v1"
_PAYMENTS_A_DAY = 21_600
"""At scale 1, about."""


@dataclass(kw_only=True)
class _Home:
    settings: Settings
    landing: Path
    catalog: Catalog
    days: int

    @property
    def cut(self) -> int:
        return micros(datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=self.days))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the work gave."""
    started = time.perf_counter()
    made = work()
    return round(time.perf_counter() - started, 1), made


def prepare(home: Path, payments: int, days: int) -> tuple[_Home, dict[str, Any]]:
    """Simulates and ingests once; says how long that took."""
    os.environ["ASOF_CONFIG"] = os.devnull
    made = load(home=home, metastore={"kind": "embedded"}, spark={"master": f"local[{CORES}]", "driver_memory": "8g"})
    here = _Home(settings=made, landing=home / "landing", catalog=load_catalog(made.catalog), days=days)
    told = home / "prepared.json"
    if not told.exists():
        scale = payments / days / _PAYMENTS_A_DAY
        report = simulate(here.landing, start=START, days=days, scale=scale, seed=7)
        rows, seconds = sum(report.rows.values()), round(report.seconds, 1)
        ingested, _ = timed(lambda: _ingest(here))
        derived, _ = timed(lambda: _derive(here))
        told.write_text(json.dumps({
            "simulated_rows": rows, "simulate_seconds": seconds, "simulated_rows_per_second_and_core": round(rows / seconds),
            "ingest_seconds": ingested, "graph_seconds": derived,
        }), encoding="utf-8")  # fmt: skip
    return here, json.loads(told.read_text(encoding="utf-8"))


def _ingest(here: _Home) -> None:
    missing = [source.name for source in here.catalog.ingested if not ledger.partitions(here.settings, source.name)]
    if missing:
        ingest.run(Ingest(source=",".join(missing), input=f"{here.landing}/{{source}}"), here.settings)


def _derive(here: _Home) -> None:
    for graph in graphs_of(source for view in here.catalog.views for source in view.sources):
        derive(session(here.settings, "bench"), here.settings, graph, here.cut)


def rows_of(here: _Home, views: Sequence[FeatureView]) -> int:
    """Of all sources that the views read, each once."""
    names = {source.ingested_by for view in views for source in view.sources}
    return sum(item.rows for name in names for item in ledger.partitions(here.settings, name))


def snapshot(here: _Home, views: Sequence[FeatureView]) -> dict[str, Any]:
    """All views at the last cut, from all rows."""
    spark = session(here.settings, "bench")
    seconds, made = timed(lambda: compute(spark, here.settings, tuple(views), [here.cut]))
    keys = sum((attempt.record("finished") or {})["rows"] for attempt in made)
    stored = sum(bytes_of(parquet_files(attempt.location)) for attempt in made)
    read = rows_of(here, views)
    if not keys:
        raise SystemExit("No key was computed.")
    return {
        "views": len(views), "features": sum(len(view.features) for view in views), "rows": read, "keys": keys, "bytes": stored, "seconds": seconds,
        "rows_per_second_and_core": round(read / seconds / CORES),
    }  # fmt: skip


def framed(here: _Home) -> dict[str, Any]:
    """The payments of all days but the first fifth at their own instants."""
    labels, out = here.settings.home / "labels.parquet", here.settings.home / "frame.parquet"
    if not labels.exists():
        days = sorted((here.landing / "payments").glob("ds=*"))[here.days // 5 : here.days]
        parts = []
        for day in days:
            sample(day, labels, 10_000_000)
            parts.append(pq.read_table(labels))
        pq.write_table(pa.concat_tables(parts), labels)
    spark = session(here.settings, "bench")
    seconds, rows = timed(
        lambda: frame(spark, here.settings, here.catalog, labels=str(labels), service=SERVICE, out=str(out))
    )
    asks = pq.ParquetFile(labels).metadata.num_rows
    if rows != asks:
        raise SystemExit(f"{asks} asks gave {rows} rows.")
    service = here.catalog.service(SERVICE)
    return {
        "asks": asks, "features": sum(len(names) for _, names in here.catalog.views_of(service)), "seconds": seconds,
        "rows_per_second_and_core": round(asks / seconds / CORES), "compared": _compared(here, labels, out),
    }  # fmt: skip


def _compared(here: _Home, labels: Path, out: Path, count: int = 2_000) -> int:
    """Some of the frame's rows asked for again, few enough to be answered without Spark's tasks: every value must be the same."""
    few, again = here.settings.home / "few.parquet", here.settings.home / "again.parquet"
    rows = pq.ParquetFile(labels).metadata.num_rows
    places = pa.array(range(0, rows, max(1, rows // count)))
    pq.write_table(pq.read_table(labels).take(places), few)
    mine = here.settings.model_copy(
        update={"spark": here.settings.spark.model_copy(update={"few_bytes": 1 << 40})}
    )  # fmt: skip
    frame(session(mine, "bench"), mine, here.catalog, labels=str(few), service=SERVICE, out=str(again))
    many, ours = pq.read_table(out).take(places), pq.read_table(again)
    differing = [
        name
        for name in ours.column_names
        if ours[name].combine_chunks().to_pylist() != many[name].combine_chunks().to_pylist()
    ]
    if differing:
        raise SystemExit(f"The two ways differ in {differing[:3]}.")
    return len(ours) * len(ours.column_names)


def merchant_day(here: _Home) -> dict[str, Any]:
    """The views of merchants alone at the last cut, and the busiest merchant's share of the payments."""
    views = [view for view in here.catalog.views if view.entity.name == "merchant" and view.tabled]
    (source,) = [source for source in here.catalog.ingested if source.name == "payments"]
    rows = pa.concat_tables(
        parquet_table(str(path)).select(["merchant_id"])
        for path in (here.landing / source.name / f"ds={START + timedelta(days=here.days - 1)}").glob("*.parquet")
    )
    counts = rows["merchant_id"].value_counts()
    return snapshot(here, views) | {
        "payments_of_the_day": len(rows),
        "of_the_busiest_merchant": pc.max(pc.struct_field(counts, "counts")).as_py(),
    }


def main() -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--runs", type=int, default=1, help="of each; the last one counts")
    args = parser.parse_args()
    here, prepared = prepare(args.data.resolve() / f"catalogue-{args.payments}", args.payments, args.days)
    tabled = [view for view in here.catalog.views if view.tabled]
    line: dict[str, Any] = {"workload": "catalogue", **prepared}
    for _ in range(args.runs):
        line |= {"snapshot": snapshot(here, tabled), "merchants": merchant_day(here), "frame": framed(here)}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
