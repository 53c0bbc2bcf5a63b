"""Row expressions: a small typed tree with SQL's nulls. Here is what can be said; `features.values.expressions` evaluates it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Arithmetic", "Both", "Case", "Column", "ColumnType", "Compare", "DigitShare", "Either", "Expression", "Hour", "IsIn", "IsNull", "Likeness",
    "Negation", "Prefix", "Scalar", "Subnet", "Value", "Weekday", "case", "col", "columns_of", "likeness", "lit", "type_of",
]  # fmt: skip

ColumnType = Literal["string", "int64", "float64", "bool", "timestamp"]
Scalar = str | int | float | bool | None
_NUMERIC = {"int64", "float64"}


class Expression:
    """A node. `==`, `<`, `&`, `|`, `~`, `+`, `-`, `*`, `/` build larger ones, so nodes compare with `same`, not with `==`."""

    __slots__ = ()

    def __eq__(self, other: object) -> "Compare":  # type: ignore[override]
        return Compare("==", self, lit(other))

    def __ne__(self, other: object) -> "Compare":  # type: ignore[override]
        return Compare("!=", self, lit(other))

    def __lt__(self, other: object) -> "Compare":
        return Compare("<", self, lit(other))

    def __le__(self, other: object) -> "Compare":
        return Compare("<=", self, lit(other))

    def __gt__(self, other: object) -> "Compare":
        return Compare(">", self, lit(other))

    def __ge__(self, other: object) -> "Compare":
        return Compare(">=", self, lit(other))

    def __and__(self, other: "Expression") -> "Both":
        return Both(self, other)

    def __or__(self, other: "Expression") -> "Either":
        return Either(self, other)

    def __invert__(self) -> "Negation":
        return Negation(self)

    def __add__(self, other: object) -> "Arithmetic":
        return Arithmetic("+", self, lit(other))

    def __sub__(self, other: object) -> "Arithmetic":
        return Arithmetic("-", self, lit(other))

    def __mul__(self, other: object) -> "Arithmetic":
        return Arithmetic("*", self, lit(other))

    def __truediv__(self, other: object) -> "Arithmetic":
        return Arithmetic("/", self, lit(other))

    def __hash__(self) -> int:
        return hash(repr(self))

    def __bool__(self) -> bool:
        msg = f"{self} has no truth of its own. Join conditions with & | ~ and parentheses, not with and/or/not."
        raise TypeError(msg)

    def isin(self, *values: str | float) -> "IsIn":
        """True where the value is one of these; null where it is null."""
        return IsIn(self, values)

    def is_null(self) -> "IsNull":
        """True or false, never null."""
        return IsNull(self)

    def startswith(self, prefix: str) -> "Prefix":
        """Text that begins with these bytes; null where it is null."""
        return Prefix(self, prefix)

    def subnet(self) -> "Subnet":
        """The network of an IP address: its first 24 bits, of IPv6 its first 48; null for a text that is none."""
        return Subnet(self)

    def digit_share(self) -> "DigitShare":
        """Share of a text's characters that are the digits 0 to 9; null for an empty text."""
        return DigitShare(self)

    def hour(self) -> "Hour":
        """Hour of the day, UTC, 0 to 23."""
        return Hour(self)

    def weekday(self) -> "Weekday":
        """Day of the week, UTC, 0 is Monday."""
        return Weekday(self)


@dataclass(frozen=True, slots=True, eq=False)
class Column(Expression):
    """A column of the source."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Value(Expression):
    """A constant."""

    value: Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Expression):
    """Null if either side is."""

    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Both(Expression):
    """SQL's AND."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Either(Expression):
    """SQL's OR."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Negation(Expression):
    """SQL's NOT."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic(Expression):
    """`+ - *` keep integers (null where the result leaves int64); `/` gives float64, null for a zero divisor."""

    op: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class IsIn(Expression):
    """Whether it is one of some constants; null where it is null."""

    of: Expression
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class IsNull(Expression):
    """True or false, never null."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Prefix(Expression):
    """Whether a text begins so."""

    of: Expression
    prefix: str


@dataclass(frozen=True, slots=True, eq=False)
class Subnet(Expression):
    """The network that an IP address lies in."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class DigitShare(Expression):
    """How much of a text is digits, 0 to 1."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Likeness(Expression):
    """How like a text is to the one of `others` that it is most like, 0 to 1. See `likeness`."""

    of: Expression
    others: tuple[Expression, ...]
    words: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Hour(Expression):
    """Hour of the day, UTC."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Weekday(Expression):
    """Day of the week, UTC, Monday 0."""

    of: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Case(Expression):
    """The first branch whose condition is true; else `otherwise`. A null condition is not true."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression


def col(name: str) -> Column:
    """A column of the source."""
    return Column(name)


def lit(value: object) -> Expression:
    """A constant; an expression stays what it is."""
    if isinstance(value, Expression):
        return value
    if value is None or isinstance(value, str | int | float | bool):
        return Value(value)
    msg = f"{value!r} cannot stand in a row expression. Use text, numbers, booleans, None or col(...)."
    raise TypeError(msg)


def case(*branches: tuple[Expression, object], otherwise: object = None) -> Case:
    """`case((col("a") > 1, "many"), otherwise="few")`."""
    return Case(tuple((condition, lit(result)) for condition, result in branches), lit(otherwise))


def likeness(of: Expression, *others: Expression | str, words: bool = False) -> Likeness:
    """How like a text is to the one of `others` that it is most like, 0 to 1; null where it or all others are null or have neither letter nor digit.

    Case, order of words and all that is neither letter nor digit count for nothing. The rest is the share of characters that both have in the same
    order (rapidfuzz's token_sort_ratio); with `words` a text that holds all words of the other is 1 (token_set_ratio).
    """
    return Likeness(of, tuple(lit(other) for other in others), words)


def children(node: Expression) -> tuple[Expression, ...]:
    """The nodes directly below."""
    match node:
        case Compare(_, left, right) | Arithmetic(_, left, right) | Both(left, right) | Either(left, right):
            return (left, right)
        case (
            Negation(of)
            | IsNull(of)
            | Hour(of)
            | Weekday(of)
            | IsIn(of, _)
            | Prefix(of, _)
            | Subnet(of)
            | DigitShare(of)
        ):
            return (of,)
        case Likeness(of, others):
            return (of, *others)
        case Case(branches, otherwise):
            return (*(part for branch in branches for part in branch), otherwise)
        case _:
            return ()


def columns_of(node: Expression | None) -> frozenset[str]:
    """Names of the columns an expression reads."""
    if node is None:
        return frozenset()
    if isinstance(node, Column):
        return frozenset({node.name})
    return frozenset().union(*(columns_of(child) for child in children(node)))


def type_of(node: Expression, columns: Mapping[str, ColumnType]) -> ColumnType | None:  # noqa: C901, PLR0911, PLR0912 - one branch a node
    """Its type; None for a bare null.

    Raises:
        ValueError: a column that does not exist, or types that do not go together; the text says which.
    """
    match node:
        case Column(name):
            if name not in columns:
                msg = f"there is no column {name!r}; the source has {', '.join(sorted(columns))}."
                raise ValueError(msg)
            return columns[name]
        case Value(value):
            kinds: dict[type, ColumnType] = {bool: "bool", int: "int64", float: "float64", str: "string"}
            return kinds.get(type(value))
        case Compare(op, left, right):
            _together(f"{op}", type_of(left, columns), type_of(right, columns))
            return "bool"
        case Both() | Either() | Negation():
            for child in children(node):
                _must(child, columns, {"bool"}, "& | ~")
            return "bool"
        case Arithmetic(op, left, right):
            kinds_ = {_must(left, columns, _NUMERIC, op), _must(right, columns, _NUMERIC, op)}
            return "float64" if op == "/" or "float64" in kinds_ else "int64"
        case IsIn(of, values):
            for value in values:
                _together("isin", type_of(of, columns), type_of(Value(value), columns))
            return "bool"
        case IsNull(of):
            type_of(of, columns)
            return "bool"
        case Prefix(of, _):
            _must(of, columns, {"string"}, "startswith")
            return "bool"
        case Subnet() | DigitShare() | Likeness():
            if isinstance(node, Likeness) and not node.others:
                msg = f"likeness of {node.of} to nothing. Name at least one text that it may be like."
                raise ValueError(msg)
            for child in children(node):
                _must(child, columns, {"string"}, "subnet, digit_share and likeness")
            return "string" if isinstance(node, Subnet) else "float64"
        case Hour(of) | Weekday(of):
            _must(of, columns, {"timestamp"}, "hour and weekday")
            return "int64"
        case Case(branches, otherwise):
            found = type_of(otherwise, columns)
            for condition, result in branches:
                _must(condition, columns, {"bool"}, "case")
                found = _together("case", found, type_of(result, columns))
            return found
    msg = f"{node!r} is not a row expression."
    raise ValueError(msg)


def _must(node: Expression, columns: Mapping[str, ColumnType], allowed: set[str], by: str) -> ColumnType | None:
    kind = type_of(node, columns)
    if kind is not None and kind not in allowed:
        msg = f"{by} needs {' or '.join(sorted(allowed))}, but {node} is {kind}."
        raise ValueError(msg)
    return kind


def _together(op: str, left: ColumnType | None, right: ColumnType | None) -> ColumnType | None:
    if left is None or right is None or left == right:
        return left or right
    if {left, right} <= _NUMERIC:
        return "float64"
    msg = f"{op} between {left} and {right} has no meaning."
    raise ValueError(msg)
