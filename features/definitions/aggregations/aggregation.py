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
    only_finish: bool = False
    """Whether `finish` alone looks at it: features that differ in nothing else share the state that tiles hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A fixed number of words and the functions over them.

    They are plain Python that numba compiles: numbers, loops, `math`, and helpers of the same file; nothing imported but the standard library.
    Each takes the aggregation's parameters as its last arguments, in their order. Rows come in order of (event_time, event_id, version).
    """

    words: Literal["int64", "float64"]
    """Of the state. float64 holds an instant exactly until the year 2255."""

    width: Callable[..., int]
    """`width(kinds, *parameters)`: how many words; no key has more than `kinds` different values. It is 0 where `value` is "number"."""

    zero: Callable[..., None]
    """`zero(state, *parameters)` makes it the state of no rows, whatever it held."""

    add: Callable[..., None]
    """`add(state, time, value, *parameters)`: one row, not older than any before it. Several inputs come as an array."""

    merge: Callable[..., None]
    """`merge(state, later, *parameters)`: the rows of another state, all after this one's, as if added here. This one's width does for both."""

    finish: Callable[..., Any]
    """`finish(state, ends, *parameters) -> (value, valid)`; not valid is null, and of an aggregation whose empty value is 0 an integer that left
    int64. Of "column" it is what add gets: the code of the value, or the number itself."""

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

    parameters: tuple[Literal["step", "limit"] | Parameter, ...] = ()
    """In the order that the functions take them. The word "step" is the window's step in microseconds: such an aggregation needs one. The word
    "limit" is the feature's own, at least 1."""

    error: str = "exact"
    """How far the value may be from the true one."""

    state: State
    """Of floats too, unless they have one of their own."""

    of_floats: State | None = None
    """The state where the input is float64 and the numbers need other words, or leave by other rules."""

    tiles: State | None = None
    """The state that tiles hold, often `state` itself: its `add` takes rows, and its `merge` states, in any order and of several keys at once, and
    what is finished depends on the rows alone. None: tiles hold what it reads of the rows themselves, unless the engine knows it otherwise."""

    newest: Callable[..., int] | None = None
    """`newest(*parameters)`: so many of the newest rows decide the value, and tiles that hold rows keep no more; None: all of them do."""

    ordered: bool = True
    """Whether the value depends on when rows are and which comes first. Where it does not, tiles that hold rows keep each value once, with how often it came."""

    kernel: bool = False
    """Whether the sweep has a faster way to the same bits and takes it; it then reads a column, no expression. It is the engine's own matter:
    neither a value nor a definition's hash depends on it."""

    reach: Callable[..., int] | None = None
    """`reach(*parameters)`: the longest window that it takes, in microseconds; None: any."""

    @property
    def mergeable(self) -> bool:
        """Whether states join wherever they were made; those of places among values join only among the same rows."""
        return self.state.value != "code"

    @property
    def removable(self) -> bool:
        """Whether a row can leave the state again, unless it is of floats and they have one of their own."""
        return self.state.remove is not None

    def state_of(self, kind: ColumnType | None) -> State:
        """The state for an input of this type; None: it takes none."""
        return self.of_floats if self.of_floats is not None and kind == "float64" else self.state

    def tiles_of(self, kind: ColumnType | None) -> State | None:
        """The state of tiles for an input of this type; None where there is none. Floats that have a state of their own have none."""
        return self.tiles if self.of_floats is None or kind != "float64" else None

    def kept(self, arguments: tuple[float, ...]) -> tuple[float, ...]:
        """Arguments with the least number in place of what `finish` alone looks at: those of a state that several features share."""
        least = [part.least if isinstance(part, Parameter) and part.only_finish else None for part in self.parameters]
        return tuple(given if low is None else type(given)(low) for given, low in zip(arguments, least, strict=True))

    @property
    def given(self) -> tuple[Parameter, ...]:
        """The parameters that an author gives."""
        return tuple(part for part in self.parameters if isinstance(part, Parameter))

    @property
    def stepped(self) -> bool:
        """Whether it needs a window with a step."""
        return "step" in self.parameters
