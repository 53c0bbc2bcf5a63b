"""What was proven of each cut, kept beside the tables: the last word on each, and all of them as rows of `asof.proofs`. No Spark."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.names import cut_text
from features.settings import Settings
from jobs import attempts
from jobs.files import exists, open_system, read_record, write_record, write_rows

__all__ = ["PROOFS", "PROOF_COLUMNS", "add_to_history", "history", "proof_of", "record_proof"]

PROOFS = "asof.proofs"
"""The Hive table of all proofs, a row each."""

PROOF_COLUMNS = {
    "cut": "timestamp", "proven_at": "timestamp", "views": "array<string>", "compared": "bigint", "different": "bigint",
    "informative": "bigint", "keys": "bigint", "instants": "bigint", "examples": "array<string>",
}  # fmt: skip
_INSTANT, _NAMES = pa.timestamp("us", tz="UTC"), pa.list_(pa.string())
_ARROW = {"timestamp": _INSTANT, "array<string>": _NAMES, "bigint": pa.int64()}


def _path(settings: Settings, cut: int) -> str:
    return f"{attempts.root(settings)}/asof/proofs/{cut_text(cut)}.json"


def record_proof(settings: Settings, cut: int, proof: dict[str, Any]) -> None:
    """Keeps what was compared, whatever came of it."""
    write_record(_path(settings, cut), proof)


def proof_of(settings: Settings, cut: int) -> dict[str, Any] | None:
    """The last proof of a cut; None where there is none."""
    return read_record(_path(settings, cut))


def add_to_history(settings: Settings, cut: int, proven_at: int, views: Sequence[str], proof: dict[str, Any]) -> None:
    """Adds a row to `asof.proofs`; the same proof twice is one row.

    Args:
        settings: say where tables are.
        cut: in microseconds UTC.
        proven_at: when, likewise.
        views: names of what was proven.
        proof: the fields of `Proof`.

    Raises:
        BusyError: the file system refuses.
    """
    row = {"cut": cut, "proven_at": proven_at, "views": list(views), **proof, "examples": list(proof["examples"])}
    columns = {name: pa.array([row[name]], _ARROW[kind]) for name, kind in PROOF_COLUMNS.items()}
    write_rows(f"{_history(settings)}/{cut_text(cut)}-{proven_at}.parquet", pa.table(columns))


def history(settings: Settings) -> list[dict[str, Any]]:
    """The rows of `asof.proofs` in the order of proving, without Spark; none where nothing was proven.

    Raises:
        OSError: a file cannot be read, or is no Parquet (pyarrow's ArrowInvalid, a ValueError).
    """
    place = _history(settings)
    if not exists(place):
        return []
    files, folder = open_system(place)
    rows = pq.read_table(folder, filesystem=files, columns=list(PROOF_COLUMNS)).to_pylist()
    return sorted(rows, key=lambda row: (row["proven_at"], row["cut"]))


def _history(settings: Settings) -> str:
    return f"{settings.tables_root}/asof.db/proofs"
