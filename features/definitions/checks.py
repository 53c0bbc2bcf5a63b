"""How a definition says that something is wrong with it: alone at once, or, while a catalogue loads, together with all others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from features.errors import InvalidDefinitionError

__all__ = ["collecting", "complain", "where_defined"]

_found: ContextVar[list[str] | None] = ContextVar("problems", default=None)
_HERE = str(Path(__file__).parent)


def where_defined() -> str:
    """`file:line` of the author's own code that is making a definition right now."""
    frame = sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_HERE, "<")) and "dataclasses" not in name:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def complain(where: str, name: str, problem: str, remedy: str) -> None:
    """Says one problem: raised at once, or kept while `collecting`.

    Raises:
        InvalidDefinitionError: outside `collecting`.
    """
    text = f"{where}: {name}: {problem} {remedy}"
    found = _found.get()
    if found is None:
        raise InvalidDefinitionError(text)
    found.append(text)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Within it problems are kept in the list instead of raised, so that all are seen in one run."""
    found: list[str] = []
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)
