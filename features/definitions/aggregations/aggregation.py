"""What an aggregation is: data, and pure functions over a state of fixed width (semantics 4)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from features.definitions.expressions import ColumnType

__all__ = ["ANY", "NUMBERS", "Aggregation", "Ends", "Parameter", "State"]

NUMBERS: frozenset[ColumnType] = frozenset({"int64", "float64"})
ANY: frozenset[ColumnType] = frozenset({"string", "int64", "float64", "bool", "timestamp"})


class Ends(NamedTuple):
    """What `finish` may ask of the window: the anchor and both edges, in microseconds UTC."""

    anchor: int
    lower: int
    upper: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that the author gives; the functions of the state take it by position."""

    name: str
    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A fixed number of words and the functions over them.

    They are plain Python that numba compiles: numbers, loops, `math`, and helpers of the same file; nothing imported but the standard library.
    Each takes the aggregation's parameters as its last arguments, in their order. Rows come in order of (event_time, event_id, version).
    """

    words: Literal["int64", "float64"]
    """Of the state. float64 holds an instant exactly until the year 2255."""

    width: Callable[..., int]
    """`width(kinds, *parameters)`: how many words; `kinds` is how many different values one key has, where `value` is "code"."""

    zero: Callable[..., None]
    """`zero(state, *parameters)` makes it the state of no rows, whatever it held."""

    add: Callable[..., None]
    """`add(state, time, value, *parameters)`: one row, not older than any before it. Several inputs come as an array."""

    merge: Callable[..., None]
    """`merge(state, later, *parameters)`: the rows of another state, all after this one's, as if added here."""

    finish: Callable[..., Any]
    """`finish(state, ends, *parameters) -> (value, valid)`; not valid is null. Of "column" it is the code of the value."""

    remove: Callable[..., None] | None = None
    """`remove(state, time, value, *parameters)`: the inverse of add; only where it is exact."""

    value: Literal["number", "code", "hash"] = "number"
    """What add gets: the number itself (instants as microseconds, booleans as 0 and 1); its place among the key's different values in
    ascending order from 0, which means something only among the rows they were counted in; or the 64 bits of its hash, as an int64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """An operation that features may name."""

    name: str
    says: str
    """What the value is, in one sentence, with its unit."""

    takes: tuple[frozenset[ColumnType], ...] = ()
    """The types of each input; none: it counts rows and reads no column. Rows with an input that is null, NaN or infinite are skipped."""

    gives: ColumnType | Literal["column"]
    """Type of the value; "column": that of the input."""

    empty: Literal["0", "null"]
    """The value where no row counts."""

    nulls: str = "null where no row counts"
    """When a value is null, in words."""

    parameters: tuple[str | Parameter, ...] = ()
    """In the order that the functions take them. The word "step" is the window's step in microseconds: such an aggregation needs one."""

    error: str = "exact"
    """How far the value may be from the true one."""

    state: State | None = None
    """None: the engine has a kernel of its own for it."""

    reach: Callable[..., int] | None = None
    """`reach(*parameters)`: the longest window that it takes, in microseconds; None: any."""

    subtractable: bool = False
    """Of those with a kernel: whether removing is exact."""

    @property
    def mergeable(self) -> bool:
        """Whether states join wherever they were made; those of places among values join only among the same rows."""
        return self.state is None or self.state.value != "code"

    @property
    def removable(self) -> bool:
        """Whether a row can leave the state again."""
        return self.subtractable if self.state is None else self.state.remove is not None

    @property
    def given(self) -> tuple[Parameter, ...]:
        """The parameters that an author gives."""
        return tuple(part for part in self.parameters if isinstance(part, Parameter))

    @property
    def stepped(self) -> bool:
        """Whether it needs a window with a step."""
        return "step" in self.parameters
