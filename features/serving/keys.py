"""The keys and request fields a person gives, checked against what a service needs; a key column that the source computes may be left out."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from features.definitions.entities import Entity
from features.definitions.expressions import Expression, columns_of
from features.definitions.requests import request_fields
from features.definitions.views import FeatureView
from features.errors import InputError
from features.values.expressions import evaluate_column
from features.values.request_fields import typed_values
from features.values.requests import Request
from features.values.sweep import ARROW_TYPES

__all__ = ["Key", "Keys"]

Key = Mapping[str, str | int | None]
"""Column name to value; None is a null."""

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


def _needed(views: Iterable[FeatureView]) -> dict[str, Entity]:
    """Each key column of some views, with an entity that has it, in the order of the views."""
    return {name: view.entity for view in views for name in view.keys}


def _computable(views: Iterable[FeatureView], given: Iterable[str]) -> dict[str, Expression]:
    """Of the key columns of some views those that follow from columns that are given, by their source's own expression (semantics 4).

    A column that two of the sources compute differently, or one of them is brought, follows from nothing.
    """
    there, found = set(given), dict[str, set[Expression | None]]()
    for view in views:
        of_source = {column.name: column.computed for column in view.source.columns}
        for name in view.keys:
            found.setdefault(name, set()).add(of_source.get(name))
    return {
        name: how
        for name, (how, *others) in found.items()
        if not others and how is not None and there.issuperset(columns_of(how))
    }


class Keys:
    """The key columns and request fields that some views need; `of` is what messages call the whole."""

    def __init__(self, views: Sequence[FeatureView], of: str) -> None:
        self.of, self.columns = of, _needed(views)
        self._types = {name: str if entity.type == "string" else int for name, entity in self.columns.items()}
        self._computed = _computable(views, self.columns)
        self.required = {name: entity for name, entity in self.columns.items() if name not in self._computed}
        """Those that must be given, with an entity that has each."""

        self.fields = request_fields(views)
        """The request fields, which must be given too; one that is a key column as well is given once."""

    def parted(self, rows: Sequence[Mapping[str, object]]) -> tuple[list[dict[str, str | int | None]], Request]:
        """The keys as `typed` gives them, and what is brought beside them, an element a row.

        Raises:
            InputError: as `typed`; of request fields likewise.
        """
        if not self.fields:
            return self.typed(rows), {}
        for row in rows:
            if lacking := [name for name in self.fields if name not in row]:
                raise InputError(self._wrong(row, [*(name for name in self.required if name not in row), *lacking], []))
        request = {name: typed_values(name, [row[name] for row in rows], kind) for name, kind in self.fields.items()}
        beside = self.fields.keys() - self.columns.keys()
        return self.typed([{name: value for name, value in row.items() if name not in beside} for row in rows]), request

    def typed(self, keys: Sequence[Mapping[str, object]]) -> list[dict[str, str | int | None]]:
        """The keys in the types of their columns, in the order given; a column that follows from others may be left out.

        Raises:
            InputError: a column is missing, unknown or of the wrong type; the message names what the service needs.
        """
        if self._are_whole(keys):
            return [dict(key) for key in keys]  # type: ignore[arg-type]  # as was just seen
        made = [self._one(key) for key in keys]
        for name, how in self._computed.items():
            if lacking := [key for key in made if name not in key]:
                read = {
                    column: _array([key[column] for key in lacking], self.columns[column]) for column in columns_of(how)
                }
                values = evaluate_column(how, read, len(lacking)).to_pylist()
                for key, value in zip(lacking, values, strict=True):
                    key[name] = value
        return made

    def _are_whole(self, keys: Sequence[Mapping[str, object]]) -> bool:
        """Whether nothing is to be done, as of nearly all keys: told column by column."""
        if len(keys) == 1:
            return self._is_whole(keys[0])
        names = self.columns.keys()
        if any(key.keys() != names for key in keys):
            return False
        for name, entity in self.columns.items():
            values = [key[name] for key in keys]
            if set(map(type, values)) != {str if entity.type == "string" else int}:
                return False
            if entity.type != "string" and not (min(values) >= _LOWEST and max(values) <= _HIGHEST):  # type: ignore[type-var,operator]  # integers
                return False
        return True

    def _is_whole(self, key: Mapping[str, object]) -> bool:
        if key.keys() != self.columns.keys():
            return False
        for name, kind in self._types.items():
            value = key[name]
            if type(value) is not kind or (kind is int and not _LOWEST <= value <= _HIGHEST):  # type: ignore[operator]  # an integer
                return False
        return True

    def _one(self, key: Mapping[str, object]) -> dict[str, str | int | None]:
        if key.keys() == self.columns.keys():
            return {name: _typed(name, key[name], entity) for name, entity in self.columns.items()}
        lacking = [name for name in self.required if name not in key]
        unknown = [name for name in key if name not in self.columns]
        if lacking or unknown:
            raise InputError(self._wrong(key, lacking, unknown))
        return {name: _typed(name, key[name], entity) for name, entity in self.columns.items() if name in key}

    def _wrong(self, key: Mapping[str, object], lacking: Sequence[str], unknown: Sequence[str]) -> str:
        parts = (f"it lacks {', '.join(lacking)}", lacking), (f"nobody asked for {', '.join(unknown)}", unknown)
        wrong = "; ".join(text for text, names in parts if names)
        needs = ", ".join(f"{name}=…" for name in dict.fromkeys((*self.required, *self.fields)))
        also = "".join(
            f"; {name} follows from {', '.join(sorted(columns_of(how)))} where it is left out"
            for name, how in self._computed.items()
        )
        return f"The key {dict(key)} does not fit {self.of}: {wrong}. It needs {needs}{also}."


def _array(values: Sequence[str | int | None], entity: Entity) -> pa.Array:
    return pa.array(values, ARROW_TYPES[entity.type])


def _typed(name: str, value: object, entity: Entity) -> str | int | None:
    if value is None or (entity.type == "string" and isinstance(value, str)):
        return value
    if type(value) is int and entity.type != "string" and _LOWEST <= value <= _HIGHEST:
        return value
    if entity.type == "string":
        msg = f"The key {name}={value!r} is {type(value).__name__}, but {name} of entity {entity.name!r} is text, byte for byte. Give it as text."
        raise InputError(msg)
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not _LOWEST <= number <= _HIGHEST:
        msg = f"The key {name}={value!r} is no whole number of 64 bits, which {name} of entity {entity.name!r} is. Give one, such as {name}=42."
        raise InputError(msg)
    return number
