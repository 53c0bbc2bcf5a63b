"""Landing files: OUT/<table>/ds=<UTC date of arrival>/part-0.parquet, one day closed after another.

Rows that arrive on a later day wait in memory, by that day; those that would arrive after the last day are never written.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import BusyError
from jobs.simulate.randomness import Columns, Ints, concat, identifiers, take
from jobs.simulate.schemas import ARRIVALS, ATTACKS, ID_KINDS, SCHEMAS, columns_of, encode, repeating
from jobs.simulate.world import DAY_US

__all__ = ["Landing", "landing_file", "write_parquet"]

_ACTORS: Final = ["actor", "id", "attack", "campaign"]


def landing_file(out: Path, table: str, ds: date) -> Path:
    """Where the rows of `table` that arrived on `ds` lie."""
    return out / table / f"ds={ds.isoformat()}" / "part-0.parquet"


class Landing:
    """Takes rows in any order of arrival and writes each day once it is over."""

    def __init__(self, out: Path, seed: int, last_day_us: int) -> None:
        self.rows = dict.fromkeys(SCHEMAS, 0)
        self.arrivals = dict.fromkeys(ARRIVALS, 0)
        """Rows written, by how they arrived; only tables whose rows say it."""
        self._out = out
        self._seed = seed
        self._last_day = last_day_us // DAY_US
        self._waiting: dict[tuple[str, int], list[Columns]] = defaultdict(list)
        self._attacks: list[pa.Table] = []
        self._actors: list[pa.Table] = []
        self._digest = hashlib.sha256()

    def accept(self, table: str, rows: Columns) -> None:
        """Rows with `ingested_at` on a day not closed yet. They wait as numbers, in a fifth of their room as text."""
        kept = {name: rows[name] for name in columns_of(table)}
        days = rows["ingested_at"] // DAY_US
        first, last = (int(days.min()), int(days.max())) if len(days) else (0, -1)
        for day in range(first, min(last, self._last_day) + 1):
            part = take(kept, np.flatnonzero(days == day)) if first < last else kept
            if len(part["ingested_at"]):
                self._waiting[table, day].append(part)

    def name_actors(self, actors: Sequence[tuple[str, Ints, Ints, Ints]]) -> None:
        """Says in the truth who takes part in campaigns: kind of actor (account, device, merchant, listing), numbers, attacks, campaigns."""
        for kind in sorted({actor[0] for actor in actors}):
            numbers, attacks, campaigns = (
                np.concatenate([actor[n] for actor in actors if actor[0] == kind]) for n in (1, 2, 3)
            )
            ids = identifiers(ID_KINDS[f"{kind}_id"], numbers, self._seed)
            columns = [pa.array([kind] * len(ids), pa.string()), ids, pa.array(ATTACKS).take(pa.array(attacks))]
            self._actors.append(pa.table([*columns, _campaigns(campaigns)], names=_ACTORS))

    def close(self, ds: date, day_us: int) -> None:
        """Writes one file per table, also an empty one: a file that is missing would mean a day that is not over."""
        for table, schema in SCHEMAS.items():
            arrived = self._waiting.pop((table, day_us // DAY_US), [])
            rows = self._sorted(table, arrived) if arrived else schema.empty_table()
            self._note_content(f"{table}/ds={ds}", rows)
            write_parquet(rows, landing_file(self._out, table, ds), dictionary=repeating(table))
            self.rows[table] += rows.num_rows

    def truth(self) -> Mapping[str, pa.Table]:
        """`attacks`: one row per attack payment that arrived: payment_id, attack (kind), campaign; in order of arrival.

        `actors`: one row per account, device, merchant or listing of a campaign: actor (its kind), id, attack, campaign.
        """
        attacks = _stacked(("payment_id", "attack", "campaign"), self._attacks)
        _, first = np.unique(attacks["payment_id"].to_numpy(), return_index=True)
        found = {
            "attacks": attacks.take(pa.array(np.sort(first))),
            "actors": _stacked(_ACTORS, self._actors),
        }
        for name, rows in found.items():
            self._note_content(f"truth/{name}", rows)
        return found

    @property
    def content(self) -> str:
        """SHA-256 of all rows written so far, in order: of values, not of Parquet's bytes, which its version decides."""
        return self._digest.hexdigest()

    def _sorted(self, table: str, arrived: Sequence[Columns]) -> pa.Table:
        """In order of arrival."""
        day = concat(*arrived)
        day = take(day, np.argsort(day["ingested_at"], kind="stable"))
        counts = np.bincount(day["arrival"], minlength=len(ARRIVALS))
        for name, count in zip(ARRIVALS, counts.tolist(), strict=True):
            self.arrivals[name] += count
        rows = encode(table, day, self._seed)
        if "attack" in day:
            hit = np.flatnonzero(day["attack"] > 0)
            kinds = pa.array(ATTACKS).take(pa.array(day["attack"][hit]))
            columns = [rows["payment_id"].take(pa.array(hit)), kinds, _campaigns(day["campaign"][hit])]
            self._attacks.append(pa.table(columns, names=["payment_id", "attack", "campaign"]))
        return rows

    def _note_content(self, name: str, rows: pa.Table) -> None:
        self._digest.update(f"{name} {rows.num_rows} {','.join(rows.column_names)}\n".encode())
        for column in rows.columns:
            values = column.combine_chunks()
            self._digest.update(values.is_valid().cast(pa.uint8()).to_numpy())
            if pa.types.is_string(values.type):
                filled = values.fill_null("").cast(pa.large_string())
                self._digest.update(pc.binary_length(filled).to_numpy())
                self._digest.update(_text(filled))
            else:
                plain = values if pa.types.is_floating(values.type) else values.cast(pa.int64())
                self._digest.update(plain.fill_null(0).to_numpy())


def _text(values: pa.LargeStringArray) -> bytes | memoryview:
    """All characters one after another."""
    data = values.buffers()[2]
    if data is None or not len(values):
        return b""
    ends = np.frombuffer(values.buffers()[1], np.int64, len(values) + 1, values.offset * 8)
    return memoryview(data)[int(ends[0]) : int(ends[-1])]


def _campaigns(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"campaign_{number:06d}" for number in numbers.tolist()], pa.string())


def _stacked(names: Sequence[str], tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([pa.table({name: pa.array([], pa.string()) for name in names}), *tables]).combine_chunks()


def write_parquet(table: pa.Table, path: Path, *, dictionary: bool | list[str] = True) -> None:
    """Replaces `path` whole or not at all. `dictionary`: columns whose values repeat; True: Parquet tries all.

    Raises:
        BusyError: the disk refuses, for instance because it is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd", write_statistics=True, use_dictionary=dictionary)  # pyright: ignore[reportArgumentType] - pyarrow takes names as well
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = f"{path} cannot be written: {error}. Make room or mend the disk, and run the same command again."
        raise BusyError(msg) from error
