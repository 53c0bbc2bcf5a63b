"""What a lookup asks of a store and gets back, whichever store it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from features.store.heads import Head

__all__ = ["Answer", "Block", "ByKey", "OnlineStore", "Question"]


_NOTHING: Mapping[bytes, Any] = MappingProxyType({})


class Question(NamedTuple):
    """One view for several entities."""

    view: str
    keys: tuple[bytes, ...]
    """Encoded by `entity_key`, without the project."""
    states: bool = False
    at: int = 0
    """Of states: the instant, in microseconds UTC, that says which generation is read."""

    tail: str = ""
    """Of states: the source whose newly known events are asked for too."""


class Block(NamedTuple):
    """Rows of many entities, as they lie beside those of other views."""

    strings: bytes
    """Of all entities of a question, in its order, one after the other; all of one length."""
    keys: int
    """How many entities."""
    first: int
    """Where in each string the row begins."""


class ByKey(Mapping[bytes, bytes | None]):
    """Bytes by key, of the keys of a question; a table is made only where they are not read in its order.

    Args:
        keys: each once.
        cut: gives one a key.
    """

    def __init__(self, keys: Sequence[bytes], cut: Callable[[], Sequence[bytes | None]]) -> None:
        self._keys, self._cut = keys, cut

    @cached_property
    def _table(self) -> dict[bytes, bytes | None]:
        return dict(zip(self._keys, self._cut(), strict=True))

    def of(self, keys: Sequence[bytes | None]) -> Sequence[bytes | None]:
        """One a key of those that the question was made of: keys that are as many as its own are the same in the same order, since it has each once and no None."""
        return self._cut() if len(keys) == len(self._keys) else [key and self._table.get(key) for key in keys]

    def __getitem__(self, key: bytes) -> bytes | None:
        return self._table[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Answer(NamedTuple):
    """Of one view."""

    head: Head | None
    """None: no generation was ever loaded."""
    rows: Mapping[bytes, bytes | None] = _NOTHING
    """Key to its plain values, as `features.store.packed` has them; keys that the store lacks are left out, or None. Rows older than `head` are not there any more."""

    block: Block | None = None
    """The same rows where a store has many of them in a block."""

    states: Mapping[bytes, bytes | None] = _NOTHING
    """Key to its state in the generation of `head`, left out or None where it has none; that is the oldest there is where none is valid at the instant."""

    tails: Mapping[bytes, Sequence[bytes]] = _NOTHING
    """Key to the rows of its tail, as `features.store.tails` has them."""

    watermark: int | None = None
    """Up to when the stream of the tail's source has told all that it knew; None: it never told anything."""


class OnlineStore(Protocol):
    """What readers need. Loads differ: SQLite's goes through the driver, Redis's comes from Spark's tasks."""

    def ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """One answer a question, all of one instant, in one round trip.

        Raises:
            BusyError: the store does not answer.
        """
        ...

    def forget(self, view: str) -> None:
        """Drops the head record of a view that is no longer defined."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...
