"""Feast's answer to `POST /get-online-features`, written: a column a feature. Statuses are honest, and the value stands beside them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from pydantic_core import to_json

from features.definitions.names import utc
from features.errors import InputError
from features.serving.feast_columns import instants_of, statuses_of, with_nulls
from features.serving.feast_http import Asked
from features.serving.reader import Result
from features.serving.served import Selected, Status, ViewColumns
from features.serving.usual_rows import UsualViews
from features.store.columns import OneRow
from features.store.values import Cell

__all__ = ["Answers", "Described"]

_NEVER = "1970-01-01T00:00:00Z"
_FEW = 16
"""What is said of so many rows beside their values is remembered."""
_REMEMBERED = 256
"""So many times: names of features, and what stands beside their values, which is the same until a view's next cut."""
_VALUES = b'{"values":'
_NULL_CELL = b"null"
_NULL = b"[null]"


class Described(NamedTuple):
    """What an answer says of a view beside its values."""

    definition: str
    """The hash."""
    lag_us: int
    """From the cut to the instant from which on its values are served, which is Feast's event timestamp."""


class _Run(NamedTuple):
    """Views that follow each other and have the same beside their values."""

    views: list[int]
    """By their places."""
    statuses: list[str]
    """Feast's names of them, a row each."""
    times: bytes
    beside: bytes
    """What stands beside the values of a feature."""
    beside_null: bytes
    """The same where its only value is null."""
    between: bytes
    """And what stands between two cells of a row: the end of one feature and the beginning of the next."""


class Answers:
    """Writes answers; it remembers what is the same in many.

    Args:
        described: each view.
    """

    def __init__(self, described: Mapping[str, Described]) -> None:
        self._described = described
        self._names = lru_cache(maxsize=_REMEMBERED)(_names)
        self._few = lru_cache(maxsize=_REMEMBERED)(self._told)

    def write(self, result: Result, asked: Asked) -> bytes:
        """As JSON: the keys' columns first, then a column a feature; NaN and infinities as protobuf writes them.

        Args:
            result: what was looked up; it has a row.
            asked: the request.

        Raises:
            InputError: two views have a feature of one name, and full names were not asked for.
        """
        names = self._names(tuple(asked.entities), result.selected, asked.full_feature_names)
        told = self._few if len(result.keys) <= _FEW else self._told
        views, runs, present = told(result.selected, *_beside_values(result.views))
        results = [_VALUES + to_json(values) + present for values in asked.entities.values()]
        if isinstance(result.views, UsualViews) and len(runs) == 1:
            results.append(_of_row(runs[0], result.views.cells()) or _columns(runs[0], result.views))
        else:
            results += [_columns(run, [result.views[place] for place in run.views]) for run in runs]
        return b'{"metadata":{"feature_names":%b,"asof":{"at":%b,"views":%b}},"results":[%b]}' % (
            names, to_json(_instant(result.at)), views, b",".join(results),
        )  # fmt: skip

    def _told(
        self, selected: Selected, statuses: tuple[tuple[Status, ...], ...], cuts: tuple[tuple[int, ...], ...]
    ) -> tuple[bytes, list[_Run], bytes]:
        """What the answer says of the views, what stands beside each of their features' values, and beside those of a key column."""
        views, runs = dict[str, object](), list[_Run]()
        for place, ((view, features), status, cut) in enumerate(zip(selected.views, statuses, cuts, strict=True)):
            definition, lag = self._described[view]
            views[view] = {"definition": definition, "cut": _instant(cut[0]), "statuses": status}
            column = ViewColumns(view=view, values={}, statuses=status, cuts=cut, ages=())
            told = statuses_of(column)
            times = to_json([_NEVER if instant is None else _instant(instant) for instant in instants_of(column, lag)])
            beside = _beside(told, times)
            if not features:
                continue
            if not runs or runs[-1].beside != beside:
                of_null = _beside(with_nulls([None] * len(told), told), times)
                runs.append(_Run([], told, times, beside, of_null, b"]" + beside + b"," + _VALUES + b"["))
            runs[-1].views.append(place)
        rows = len(statuses[0])
        return to_json(views), runs, _beside(["PRESENT"] * rows, to_json([_NEVER] * rows))


def _columns(run: _Run, views: Sequence[ViewColumns]) -> bytes:
    """A feature each, with what stands beside its values; all values are written together, which nearly always will do."""
    row = list[Cell]()
    for view in views:
        if not isinstance(view.values, OneRow):
            break
        row += view.values.cells
    else:
        made = _of_row(run, row)
        if made is not None:
            return made
    columns = [column for view in views for column in view.values.values()]
    written = _written(columns)
    if _is_plain(written):
        return _VALUES + written[1:-1].replace(b"],[", run.between) + run.beside
    if len(views) > 1:
        return b",".join([_columns(run, [view]) for view in views])
    parts = list[bytes]()
    for values in columns:
        beside = _beside(with_nulls(values, run.statuses), run.times) if None in values else run.beside
        parts.append(_VALUES + _written(values) + beside)
    return b",".join(parts)


def _of_row(run: _Run, row: Sequence[Cell]) -> bytes | None:
    """The cells of a single row; None where a text may have a comma."""
    written = _written(row)
    if written.count(b",") > len(row) - 1:
        return None
    made = _VALUES + written.replace(b",", run.between) + run.beside
    return made.replace(_NULL + run.beside, _NULL + run.beside_null) if _NULL_CELL in written else made


def _beside_values(views: Sequence[ViewColumns]) -> tuple[tuple[tuple[Status, ...], ...], tuple[tuple[int, ...], ...]]:
    """The statuses and the cuts of views."""
    if isinstance(views, UsualViews):
        return views.of.statuses, views.of.cuts
    return tuple([tuple(view.statuses) for view in views]), tuple([tuple(view.cuts) for view in views])


def _written(values: object) -> bytes:
    return to_json(values, inf_nan_mode="strings")


def _is_plain(written: bytes) -> bool:
    """Whether there is no text, which may hold anything, and no null."""
    return b'"' not in written and b"null" not in written


def _beside(statuses: list[str], times: bytes) -> bytes:
    return b',"statuses":%b,"event_timestamps":%b}' % (to_json(statuses), times)


def _names(entities: tuple[str, ...], selected: Selected, full: bool) -> bytes:  # noqa: FBT001 - a key of the cache
    """Of the answer's columns, as JSON.

    Raises:
        InputError: two are the same.
    """
    names = [
        *entities,
        *(f"{view}__{feature}" if full else feature for view, features in selected.views for feature in features),
    ]
    if len(set(names)) == len(names):
        return to_json(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    msg = f'Several views have a feature {", ".join(twice)}. Ask with "full_feature_names": true, which names the view too.'
    raise InputError(msg)


@lru_cache(maxsize=1024)
def _instant(instant: int) -> str:
    return utc(instant).isoformat().replace("+00:00", "Z")
