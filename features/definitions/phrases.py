"""Pieces of plain sentences: entities, rows, conditions, windows and lengths of time as a person says them."""

from features.definitions.durations import duration_text
from features.definitions.entities import Entity
from features.definitions.expressions import (
    Arithmetic,
    Both,
    Case,
    Column,
    Compare,
    DigitShare,
    Either,
    Expression,
    Hour,
    IsIn,
    IsNull,
    Likeness,
    Negation,
    Prefix,
    Subnet,
    Value,
    Weekday,
    children,
)
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.definitions.windows import Window

__all__ = ["anchor_text", "condition_text", "entity_text", "length_text", "noun", "plural", "rows_text", "window_text"]

_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second", "ms": "millisecond", "us": "microsecond"}
_COMPARES = {"==": "", "!=": "other than ", "<": "below ", "<=": "at most ", ">": "above ", ">=": "at least "}
_ROLES = ("_id", "_minor")


def noun(column: str) -> str:
    """What a column holds: `merchant_id` is a merchant, `amount_minor` an amount."""
    for role in _ROLES:
        column = column.removesuffix(role)
    return column.replace("_", " ")


def plural(word: str) -> str:
    """Of an English noun, as far as names of columns go."""
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in {"a", "e", "o", "u"}:
        return f"{word[:-1]}ies"
    return f"{word}s"


def entity_text(entity: Entity) -> str:
    """`card`; of a composite key `card and merchant`."""
    return " and ".join(noun(key) for key in entity.keys) if len(entity.keys) > 1 else noun(entity.name)


def length_text(us: int) -> str:
    """A length in microseconds: `7 days`, `1 day`; 0 is `0 seconds`."""
    if us == 0:
        return "0 seconds"
    text = duration_text(us)
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS[text.removeprefix(number)]
    return f"{number} {unit if number == '1' else plural(unit)}"


def anchor_text(view: FeatureView) -> str:
    """Where the view's windows end."""
    return "the cut" if view.served else "the asked instant"


def window_text(view: FeatureView, window: Window) -> str:
    """`in the 7 days before the cut`."""
    length = length_text(window.length_us or view.remember_us).removeprefix("1 ")
    if window.offset_us:
        verb = "end" if length.endswith("s") else "ends"
        return f"in the {length} that {verb} {length_text(window.offset_us)} before {anchor_text(view)}"
    if view.include_self:
        return f"in the {length} up to {anchor_text(view)}, the asked event included"
    return f"in the {length} before {anchor_text(view)}"


def rows_text(view: FeatureView, source: Source, where: Expression | None) -> str:
    """`payments of the card with status declined`."""
    conditions = [condition_text(node) for node in (source.filter, where) if node is not None]
    met = f" with {' and '.join(conditions)}" if conditions else ""
    return f"{source.name.replace('_', ' ')} of the {entity_text(view.entity)}{met}"


def condition_text(node: Expression) -> str:  # noqa: C901, PLR0911, PLR0912 - one branch a node
    """A row expression in words, columns by their names; a node of a kind that is not known here by its parts."""
    match node:
        case Column(name):
            return name
        case Value(value):
            return _value(value)
        case Compare(op, left, right):
            return f"{condition_text(left)} {_COMPARES[op]}{condition_text(right)}"
        case Both(left, right):
            return f"{_inner(left)} and {_inner(right)}"
        case Either(left, right):
            return f"{_inner(left)} or {_inner(right)}"
        case Negation(IsNull(of)):
            return f"{condition_text(of)} known"
        case Negation(of):
            return f"not ({condition_text(of)})"
        case IsNull(of):
            return f"{condition_text(of)} missing"
        case IsIn(of, values):
            return f"{condition_text(of)} among {', '.join(_value(value) for value in values)}"
        case Prefix(of, prefix):
            return f"{condition_text(of)} beginning with {prefix}"
        case Hour(of):
            return f"the hour of {condition_text(of)}"
        case Weekday(of):
            return f"the weekday of {condition_text(of)}"
        case Subnet(of):
            return f"the network of {condition_text(of)}"
        case DigitShare(of):
            return f"the share of digits of {condition_text(of)}"
        case Likeness(of, others):
            return f"the likeness of {condition_text(of)} to {' or '.join(condition_text(other) for other in others)}"
        case Arithmetic(op, left, right):
            return f"({condition_text(left)} {op} {condition_text(right)})"
        case Case(branches, otherwise):
            parts = [f"{condition_text(result)} if {condition_text(met)}" for met, result in branches]
            return f"({', '.join(parts)}, else {condition_text(otherwise)})"
        case _:
            return f"{type(node).__name__.lower()} of {', '.join(condition_text(part) for part in children(node))}"


def _inner(node: Expression) -> str:
    text = condition_text(node)
    return f"({text})" if isinstance(node, Either) else text


def _value(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case "":
            return "the empty text"
        case _:
            return str(value)
