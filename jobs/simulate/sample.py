"""A label file from the simulator's payments, for the demo and for trying frames: `python -m jobs.simulate.sample DAY OUT ROWS`."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from features.sources import PAYMENTS
from features.values.fit import fit

__all__ = ["sample"]

_KEYS = [
    "card_id", "account_id", "device_id", "merchant_id", "ip", "network", "email_id", "address_id", "bin", "merchant_category", "billing_country", "ip_country",
]  # fmt: skip


def sample(day: Path, out: Path, rows: int) -> list[dict[str, str]]:
    """Writes the first payments that arrived on a day, each asked at its own instant; gives their keys."""
    columns = ["payment_id", *_KEYS, "status", "event_time"]
    raw = pq.read_table(day, partitioning=None).slice(0, rows)  # pyright: ignore[reportArgumentType] - pyarrow infers str from "hive"
    table = fit(PAYMENTS, raw).rows.select(columns)
    pq.write_table(table.rename_columns([*table.column_names[:-1], "event_timestamp"]), out)
    keys: list[dict[str, str]] = table.select(_KEYS).to_pylist()
    return keys


if __name__ == "__main__":
    folder, file, count = sys.argv[1:]
    json.dump(sample(Path(folder), Path(file), int(count))[:20], sys.stdout)
