"""Feast's `POST /get-online-features`: its request read, its answer written, a column a feature. Statuses are honest, and the value stands beside them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from features.definitions.names import utc
from features.errors import InputError
from features.serving.feast_columns import instants_of, statuses_of, with_nulls
from features.serving.reader import Result, Status, ViewColumns

__all__ = ["Asked", "Described", "Instant", "answer", "asked", "by_view", "keys_of", "parsed"]

M = TypeVar("M", bound=BaseModel)
Given = str | int | float | bool | None
"""One value of a key or a request field."""
_NEVER = "1970-01-01T00:00:00Z"
_MOST_ROWS = 10_000
_FEW = 16
"""What is said of so many rows beside their values is remembered."""
_VALUES = b'{"values":'


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


class Asked(BaseModel):
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


class Described(NamedTuple):
    """What an answer says of a view beside its values."""

    definition: str
    """The hash."""
    lag_us: int
    """From the cut to the instant from which on its values are served, which is Feast's event timestamp."""


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
    made = parsed(Asked, body, '{"feature_service": "…", "entities": {"column": ["value", …]}}')
    lengths = {name: len(values) for name, values in made.entities.items()}
    if len(set(lengths.values())) != 1:
        msg = f"The entities have {lengths or 'no'} rows. Give each key column one value for each row, the same number in all."
        raise InputError(msg)
    if (rows := next(iter(lengths.values()))) > _MOST_ROWS:
        msg = f"The request has {rows} rows; {_MOST_ROWS} are the most. Ask in parts, or use `asof frame` for many."
        raise InputError(msg)
    if (made.feature_service is None) == (not made.features):
        msg = 'The request needs either "feature_service" or "features", and not both.'
        raise InputError(msg)
    return made


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


def answer(result: Result, asked: Asked, described: Mapping[str, Described]) -> bytes:
    """Feast's answer, as JSON: the keys' columns first, then a column a feature; NaN and infinities as protobuf writes them.

    Args:
        result: what was looked up; it has a row.
        asked: the request.
        described: each view.

    Raises:
        InputError: two views have a feature of one name, and full names were not asked for.
    """
    rows = len(result.keys)
    selected = tuple([(view.view, tuple(view.values)) for view in result.views])
    names = _names(tuple(asked.entities), selected, asked.full_feature_names)
    present = _present(rows) if rows <= _FEW else _present.__wrapped__(rows)
    results = [_VALUES + to_json(values) + present for values in asked.entities.values()]
    views, alike = list[bytes](), list[tuple[ViewColumns, bytes, bytes]]()
    told = _told if rows <= _FEW else _told.__wrapped__
    for view in result.views:
        definition, lag = described[view.view]
        of_view, beside, times = told(view.view, definition, lag, tuple(view.statuses), tuple(view.cuts))
        views.append(of_view)
        if not view.values:
            continue
        if alike and alike[0][1] != beside:
            results.append(_columns(alike))
            alike = []
        alike.append((view, beside, times))
    if alike:
        results.append(_columns(alike))
    asof = b'{"at":%b,"views":{%b}}' % (to_json(_instant(result.at)), b",".join(views))
    return b'{"metadata":{"feature_names":%b,"asof":%b},"results":[%b]}' % (names, asof, b",".join(results))


@lru_cache(maxsize=_FEW)
def _present(rows: int) -> bytes:
    """What stands beside the values of a key column."""
    return _beside(["PRESENT"] * rows, to_json([_NEVER] * rows))


@lru_cache(maxsize=1024)
def _told(
    view: str, definition: str, lag_us: int, statuses: tuple[Status, ...], cuts: tuple[int, ...]
) -> tuple[bytes, bytes, bytes]:
    """What the answer says of a view, what stands beside each of its features' values, and of that the instants: the same until its next cut."""
    column = ViewColumns(view=view, values={}, statuses=statuses, cuts=cuts, ages=())
    of_view = to_json(view) + b":" + to_json({"definition": definition, "cut": _instant(cuts[0]), "statuses": statuses})
    times = to_json([_NEVER if instant is None else _instant(instant) for instant in instants_of(column, lag_us)])
    return of_view, _beside(statuses_of(column), times), times


def _columns(alike: Sequence[tuple[ViewColumns, bytes, bytes]]) -> bytes:
    """A feature each, of views that have the same beside their values, with that, and with its instants: it is written once, and all values together, which nearly always will do."""
    (_, beside, _), *_ = alike
    columns = [column for view, _, _ in alike for column in view.values.values()]
    written = to_json(columns, inf_nan_mode="strings")
    is_plain = b'"' not in written  # texts may hold anything
    if is_plain and b"null" not in written:
        return _VALUES + written[1:-1].replace(b"],[", b"]" + beside + b"," + _VALUES + b"[") + beside
    if len(alike) > 1:
        return b",".join([_columns([one]) for one in alike])
    ((view, _, times),) = alike
    parts, statuses = list[bytes](), statuses_of(view)
    for values in columns:
        part = to_json(values, inf_nan_mode="strings")
        parts.append(_VALUES + part + (_beside(with_nulls(values, statuses), times) if None in values else beside))
    return b",".join(parts)


def _beside(statuses: list[str], times: bytes) -> bytes:
    return b',"statuses":%b,"event_timestamps":%b}' % (to_json(statuses), times)


@lru_cache(maxsize=256)
def _names(entities: tuple[str, ...], selected: tuple[tuple[str, tuple[str, ...]], ...], full: bool) -> bytes:  # noqa: FBT001 - a key of the cache
    """Of the answer's columns, as JSON.

    Raises:
        InputError: two are the same.
    """
    names = [
        *entities, *(f"{view}__{feature}" if full else feature for view, features in selected for feature in features)
    ]  # fmt: skip
    if len(set(names)) == len(names):
        return to_json(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    msg = f'Several views have a feature {", ".join(twice)}. Ask with "full_feature_names": true, which names the view too.'
    raise InputError(msg)


@lru_cache(maxsize=1024)
def _instant(instant: int) -> str:
    return utc(instant).isoformat().replace("+00:00", "Z")
