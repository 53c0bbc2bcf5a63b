"""`POST /push`: Feast's own request, whose push source is one of Asof's sources, and what became of each row."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from features.definitions.names import utc
from features.errors import InputError
from features.serving.feast_http import Instant, parsed
from features.serving.push import PushResult

__all__ = ["PUSH_RIGHT", "PushAsked", "answer", "asked", "rows_of"]

PUSH_RIGHT = "push:"
"""What a token's right to push to a source begins with."""

_MOST_ROWS = 10_000


class PushAsked(BaseModel):
    """A request, as Feast's `FeatureStore.push` and its server have it."""

    model_config = ConfigDict(extra="ignore")

    push_source_name: str
    """The source."""
    df: dict[str, list[Any]] = Field(default_factory=dict)
    """Column to values, one a row."""
    to: Annotated[str, Field(pattern="^online$")] = "online"
    """Events reach Hive by `asof ingest` alone."""
    watermark: Instant | None = None
    """Everything known before it has been pushed; without, before the newest row."""


def asked(body: bytes) -> PushAsked:
    """The request.

    Raises:
        InputError: it is not JSON, or not of this shape; the message says where.
    """
    made = parsed(PushAsked, body, '{"push_source_name": "…", "df": {"column": ["value", …]}}')
    lengths = {name: len(values) for name, values in made.df.items()}
    if len(set(lengths.values())) > 1:
        msg = f"The columns of df have {lengths} rows. Give each one value for each row, the same number in all."
        raise InputError(msg)
    if (rows := max(lengths.values(), default=0)) > _MOST_ROWS:
        msg = f"The request has {rows} rows; {_MOST_ROWS} are the most. Push in parts."
        raise InputError(msg)
    if rows == 0 and made.watermark is None:
        msg = "The request has neither a row nor a watermark. Give events in df, or up to when there were none."
        raise InputError(msg)
    return made


def rows_of(df: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Row by row."""
    return [dict(zip(df, values, strict=True)) for values in zip(*df.values(), strict=True)]


def answer(done: PushResult, told: datetime | None) -> dict[str, Any]:
    """What became of the rows, a refused one by its place, from 0, and of a watermark. Where no row fits, `detail` says so, as in all that is refused."""
    refused = {str(place): reason for place, reason in sorted(done.refused.items())}
    made: dict[str, Any] = {"new": done.new, "known": done.known, "refused": refused}
    if told is not None and done.told is not None:
        made["watermark"] = utc(done.told).isoformat()
    if refused and not (done.new or done.known):
        place, reason = next(iter(refused.items()))
        made["detail"] = (
            f"No row fits; the one at place {place}: {reason}. Mend them (refused says why of each) and push again."
        )
    return made
