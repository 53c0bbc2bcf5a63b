"""What `asof report` measures, without Spark: its frame is made by the functions that its workers call, in one process. The test of the report compares both.

    asof simulate --out FOLDER --start 2026-01-05 --days 180 --scale 0.1 --seed 11
    python -m benchmarks.report FOLDER --out report.html --judged 0.25

What Spark derives first, the views of graphs, is left out of the services here; all else is as in `asof report`.
"""

import argparse
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.freshness import EventFreshness
from features.definitions.names import micros
from features.definitions.services import Label
from features.definitions.views import FeatureView
from features.errors import AsofError
from features.sources import DISPUTES, PAYMENTS
from features.values.labels import label_events
from features.values.partition import codes_of
from jobs.report.measure import measure
from jobs.report.plan import Plan
from jobs.report.truths import READS, asked, with_truth
from jobs.report.writing import SERVICES, disputed, write
from jobs.simulate.truth import attacks
from tests.simulated import ask, known

WEEKS = {"start": date(2026, 2, 4), "held_back": date(2026, 5, 5), "end": date(2026, 7, 4)}
GAP = timedelta(days=14)


def events_of(folder: Path, label: Label, as_of: int) -> pa.Table:
    """All payments with what became of them, as `asof report` reads them from a home."""
    parts = [known(folder, source) for source in (PAYMENTS, DISPUTES)]
    shaped = [
        rows.append_column("asof_known", rows["asof_known_at"].cast(pa.int64()))
        .set_column(rows.schema.get_field_index("asof_undoes"), "asof_undoes", rows["asof_undoes"].cast(pa.int64()))
        .combine_chunks()
        for rows in parts
    ]
    rows = label_events(label, shaped[0], shaped[1], as_of).rows
    named = ["payment_id", "event_time", *READS, "label", "label_known_at", "label_mature"]
    return rows.select(named).rename_columns(["event_timestamp" if name == "event_time" else name for name in named])


def chosen_views(catalog: Catalog) -> dict[str, list[tuple[FeatureView, tuple[str, ...]]]]:
    """By service its views and features, but for those of graphs."""
    return {
        service: [(view, tuple(names)) for view, names in catalog.views_of(catalog.service(service)) if view.source.graph is None]
        for service in SERVICES
    }  # fmt: skip


def frame_of(folder: Path, rows: pa.Table, views: list[FeatureView]) -> pa.Table:
    """The rows with each feature as `view__feature`. What is scheduled is asked once for a key and cut: until the next cut all see the same."""
    time = rows["event_timestamp"].cast(pa.int64()).to_pylist()
    for entity, freshness in dict.fromkeys((view.entity.name, view.freshness) for view in views):
        group = [view for view in views if (view.entity.name, view.freshness) == (entity, freshness)]
        served = (
            time
            if isinstance(freshness, EventFreshness)
            else [group[0].schedule.cut_served(instant) for instant in time]
        )
        codes, firsts = codes_of([*(rows[key] for key in group[0].keys), pa.chunked_array([pa.array(served)])])
        asks, back = rows.take(pa.array(firsts)), pa.array(codes)
        for name, values in ask(folder, group, asks, "event_timestamp").items():
            for feature in values.column_names:
                if feature != "asof_status":
                    rows = rows.append_column(f"{name}__{feature}", values[feature].take(back))
        print(f"{datetime.now(UTC):%H:%M:%S} {entity}: {len(group)} views, {len(asks)} asks", flush=True)
    return rows


def main() -> int:
    """Makes the frame, where it is not there yet, the page and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judged", type=float, default=1.0)
    parser.add_argument("--frame", type=Path, default=Path(".asof/report.parquet"), help="kept, and read again")
    args = parser.parse_args()
    try:
        edges = {name: micros(datetime.combine(day, time(), UTC)) for name, day in WEEKS.items()}
        plan = Plan(**edges, gap=GAP // timedelta(microseconds=1), judged=args.judged)
        catalog = load_catalog("features.catalogue")
        events, unknown = with_truth(events_of(args.folder, disputed(catalog), edges["end"]), attacks(args.folder))
        chosen = chosen_views(catalog)
        if not args.frame.exists():
            args.frame.parent.mkdir(parents=True, exist_ok=True)
            views = list(dict.fromkeys(view for each in chosen.values() for view, _ in each))
            pq.write_table(frame_of(args.folder, asked(plan, events), views), args.frame)
        services = {
            name: [f"{view.name}__{feature}" for view, names in each for feature in names]
            for name, each in chosen.items()
        }
        found = measure(pq.read_table(args.frame), events, services, plan) | {"unknown": unknown}
        write(str(args.out), found)
    except AsofError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
