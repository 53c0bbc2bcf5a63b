"""The truth about attacks, kept apart from the landing files: no source reads it, only who measures what features find."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError, MissingError

__all__ = ["attacks", "attacks_file"]


def attacks_file(out: Path) -> Path:
    """Where the truth about a simulation's payments lies."""
    return out / "truth" / "attacks.parquet"


def attacks(out: Path) -> pa.Table:
    """One row per attack payment that arrived: payment_id, attack (kind), campaign.

    Args:
        out: The folder of the simulation.

    Raises:
        MissingError: there is no simulation in that folder.
        InputError: a label is of a payment that never arrived.
    """
    path = attacks_file(out)
    if not path.exists():
        found = [file.name for file in out.iterdir()] if out.exists() else []
        raise MissingError.of("truth", str(path), found, "Run `asof simulate` first, and give the folder of its --out.")
    labels = pq.ParquetFile(path).read()
    days = sorted((out / "payments").glob("ds=*/*.parquet"))
    arrived = pa.chunked_array([chunk for day in days for chunk in _ids(day).chunks], pa.string())
    unknown = labels.filter(pc.invert(pc.is_in(labels["payment_id"], arrived.combine_chunks())))
    if unknown.num_rows:
        msg = (
            f"{path} has labels of {unknown.num_rows:,} payments that never arrived, for instance {unknown['payment_id'][0]}. "
            "A truth belongs to the files it was written with: simulate into a new folder, and take both from there."
        )
        raise InputError(msg)
    return labels


def _ids(day: Path) -> pa.ChunkedArray:
    return pq.ParquetFile(day).read(columns=["payment_id"])["payment_id"]
