"""Landing files: OUT/<table>/ds=<UTC date of arrival>/part-0.parquet, one day closed after another.

Rows that arrive on a later day wait in memory; those that would arrive after the last day are never written.
"""

from contextlib import suppress
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import BusyError
from jobs.simulate.schemas import ARRIVALS, ATTACKS, BOOKKEEPING, SCHEMAS
from jobs.simulate.world import DAY_US

__all__ = ["Landing", "landing_file", "write_parquet"]


def landing_file(out: Path, table: str, ds: date) -> Path:
    """Where the rows of `table` that arrived on `ds` lie."""
    return out / table / f"ds={ds.isoformat()}" / "part-0.parquet"


class Landing:
    """Takes rows in any order of arrival and writes each day once it is over."""

    def __init__(self, out: Path) -> None:
        self.rows = dict.fromkeys(SCHEMAS, 0)
        self.arrivals = dict.fromkeys(ARRIVALS, 0)
        """Rows written, by how they arrived; only tables whose rows say it."""
        self._out = out
        self._waiting: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}
        self._attacks: list[pa.Table] = []

    def accept(self, table: str, rows: pa.Table) -> None:
        """Rows with `ingested_at` on a day not closed yet."""
        if rows.num_rows:
            self._waiting[table].append(rows)

    def close(self, ds: date, day_us: int) -> None:
        """Writes one file per table, also an empty one: a file that is missing would mean a day that is not over."""
        for table, schema in SCHEMAS.items():
            arrived, later = [], []
            for rows in self._waiting[table]:
                instants = rows["ingested_at"].cast(pa.int64()).to_numpy()
                due = instants < day_us + DAY_US
                arrived.append(rows.filter(pa.array(due)))
                later.append(rows.filter(pa.array(~due)))
            self._waiting[table] = [pa.concat_tables(later).combine_chunks()] if later else []
            day = pa.concat_tables(arrived) if arrived else schema.empty_table()
            self._write(table, ds, day)

    def truth(self) -> pa.Table:
        """One row per attack payment that arrived: payment_id, attack (kind), campaign; in order of arrival."""
        empty = pa.table({name: pa.array([], pa.string()) for name in ("payment_id", "attack", "campaign")})
        found = pa.concat_tables([empty, *self._attacks])
        _, first = np.unique(found["payment_id"].to_numpy(), return_index=True)
        return found.take(pa.array(np.sort(first)))

    def _write(self, table: str, ds: date, day: pa.Table) -> None:
        order = np.argsort(day["ingested_at"].cast(pa.int64()).to_numpy(), kind="stable")
        day = day.take(pa.array(order)).combine_chunks()
        self._note(day)
        kept = day.drop_columns([name for name in BOOKKEEPING if name in day.column_names])
        write_parquet(kept.cast(SCHEMAS[table]), landing_file(self._out, table, ds))
        self.rows[table] += day.num_rows

    def _note(self, day: pa.Table) -> None:
        if "arrival" in day.column_names:
            counts = np.bincount(day["arrival"].to_numpy(), minlength=len(ARRIVALS))
            for name, count in zip(ARRIVALS, counts, strict=True):
                self.arrivals[name] += int(count)
        if "attack" in day.column_names:
            attacks = day.filter(pc.greater(day["attack"], 0)).select(["payment_id", "attack", "campaign"])
            kinds = pa.array(ATTACKS).take(attacks["attack"].combine_chunks())
            names = [f"campaign_{number:06d}" for number in attacks["campaign"].to_pylist()]
            columns = [attacks["payment_id"], kinds, pa.array(names, pa.string())]
            self._attacks.append(pa.table(columns, names=["payment_id", "attack", "campaign"]))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Replaces `path` whole or not at all.

    Raises:
        BusyError: the disk refuses, for instance because it is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd", write_statistics=True)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = f"{path} cannot be written: {error}. Make room or mend the disk, and run the same command again."
        raise BusyError(msg) from error
