"""Feast's `POST /get-online-features`: its request, read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from features.errors import InputError

__all__ = ["Asked", "AskedBody", "Given", "Instant", "asked", "by_view", "keys_of", "parsed", "refuse_rows"]

M = TypeVar("M", bound=BaseModel)
Given = str | int | float | bool | None
"""One value of a key or a request field."""
_MOST_ROWS = 10_000


def _written_out(given: object) -> object:
    """Pydantic would take a number for seconds or milliseconds, whichever looks likelier."""
    if not isinstance(given, str) or ":" not in given:
        msg = "give an instant with its zone, such as 2026-03-02T06:00:00Z"
        raise ValueError(msg)
    return given


def _within_calendar(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        msg = "in UTC it is not within the years 1 to 9999"
        raise ValueError(msg) from None


Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_within_calendar)]
"""Of a request: text with a zone, never a number."""


class AskedBody(BaseModel):
    """The body of a request, as Feast's own server takes it; `at` is Asof's."""

    model_config = ConfigDict(extra="ignore", strict=True)

    entities: dict[str, list[Given]]
    """Key column, or request field, to one value a row."""
    feature_service: str | None = None
    features: list[str] = Field(default_factory=list)
    """`view:feature`, where no service is named."""
    full_feature_names: bool = False
    """`view__feature` in the answer, instead of `feature`."""
    include_feature_view_version_metadata: bool = False
    """Feast's; the answer holds the definition's hash and cut of each view in any case."""
    at: Instant | None = Field(default=None, strict=False)
    """The instant that the values are of; the clock's now where it is left out."""


class Asked(NamedTuple):
    """What it says."""

    entities: Mapping[str, Sequence[Given]]
    feature_service: str | None = None
    features: tuple[str, ...] = ()
    full_feature_names: bool = False
    at: datetime | None = None


def parsed(model: type[M], body: bytes, shape: str) -> M:
    """A request of a model.

    Raises:
        InputError: it is not JSON, or not of this shape; the message says where.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        msg = f"The request is wrong at {place}: {first['msg']}. It is {shape}; /docs shows an example."
        raise InputError(msg) from None


def asked(body: bytes) -> Asked:
    """The request.

    Raises:
        InputError: it is not JSON, or not of this shape; the message says where.
    """
    told = parsed(AskedBody, body, '{"feature_service": "…", "entities": {"column": ["value", …]}}')
    made = Asked(told.entities, told.feature_service, tuple(told.features), told.full_feature_names, told.at)
    refuse_rows(made.entities)
    if (made.feature_service is None) == (not made.features):
        msg = 'The request needs either "feature_service" or "features", and not both.'
        raise InputError(msg)
    return made


def refuse_rows(entities: Mapping[str, Sequence[Given]]) -> None:
    """Of a request.

    Raises:
        InputError: columns are of several lengths, or there are none; rows are too many.
    """
    lengths = set(map(len, entities.values()))
    if len(lengths) != 1:
        there = {name: len(values) for name, values in entities.items()}
        msg = f"The entities have {there or 'no'} rows. Give each key column one value for each row, the same number in all."
        raise InputError(msg)
    if (rows := lengths.pop()) > _MOST_ROWS:
        msg = f"The request has {rows} rows; {_MOST_ROWS} are the most. Ask in parts, or use `asof frame` for many."
        raise InputError(msg)


def by_view(features: Sequence[str]) -> dict[str, list[str]]:
    """`view:feature` to the features of each view, in the order given.

    Raises:
        InputError: a reference is not written so, or comes twice.
    """
    made: dict[str, list[str]] = {}
    for text in features:
        view, colon, feature = text.partition(":")
        if not (view and colon and feature):
            msg = f"The feature {text!r} is not written as view:feature."
            raise InputError(msg)
        if feature in made.setdefault(view, []):
            msg = f"The feature {text!r} is asked for twice."
            raise InputError(msg)
        made[view].append(feature)
    return made


def keys_of(entities: Mapping[str, Sequence[Given]]) -> list[dict[str, object]]:
    """One key a row."""
    names = list(entities)
    return [dict(zip(names, values, strict=True)) for values in zip(*entities.values(), strict=True)]
