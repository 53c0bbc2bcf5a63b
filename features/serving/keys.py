"""The keys a person gives, checked against what a service needs."""

from collections.abc import Iterable, Mapping

from features.definitions.entities import Entity
from features.definitions.views import FeatureView
from features.errors import InputError

__all__ = ["Key", "checked", "needed"]

Key = Mapping[str, str | int | None]
"""Column name to value; None is a null."""

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


def needed(views: Iterable[FeatureView]) -> dict[str, Entity]:
    """Each key column of some views, with an entity that has it, in the order of the views."""
    return {name: view.entity for view in views for name in view.keys}


def checked(key: Mapping[str, object], columns: Mapping[str, Entity], of: str) -> dict[str, str | int | None]:
    """The key in the types of its columns.

    Raises:
        InputError: a column is missing, unknown or of the wrong type; the message names what the service needs.
    """
    if key.keys() == columns.keys():
        return {name: _typed(name, key[name], entity) for name, entity in columns.items()}
    lacking, unknown = [name for name in columns if name not in key], [name for name in key if name not in columns]
    wrong = "; ".join(
        text
        for text, names in (
            (f"it lacks {', '.join(lacking)}", lacking),
            (f"nobody asked for {', '.join(unknown)}", unknown),
        )
        if names
    )
    msg = f"The key {dict(key)} does not fit {of}: {wrong}. It needs {', '.join(f'{name}=…' for name in columns)}."
    raise InputError(msg)


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
