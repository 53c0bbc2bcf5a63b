"""What the fixture `landed` simulates, and how its files are read."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

START = date(2026, 1, 5)
"""A Monday."""
DAYS = 28


def table(out: Path, name: str) -> pa.Table:
    """All days of a table, in order of their folders."""
    return pa.concat_tables([pq.ParquetFile(path).read() for path in sorted((out / name).glob("ds=*/*.parquet"))])
