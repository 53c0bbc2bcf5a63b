"""What was proven of each cut, kept beside the tables. No Spark."""

from typing import Any

from features.definitions.names import cut_text
from features.settings import Settings
from jobs import attempts
from jobs.files import read_record, write_record

__all__ = ["proof_of", "record_proof"]


def _path(settings: Settings, cut: int) -> str:
    return f"{attempts.root(settings)}/asof/proofs/{cut_text(cut)}.json"


def record_proof(settings: Settings, cut: int, proof: dict[str, Any]) -> None:
    """Keeps what was compared, whatever came of it."""
    write_record(_path(settings, cut), proof)


def proof_of(settings: Settings, cut: int) -> dict[str, Any] | None:
    """The last proof of a cut; None where there is none."""
    return read_record(_path(settings, cut))
