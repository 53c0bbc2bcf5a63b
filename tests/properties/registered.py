"""The list of known-wrong engines, and how one gets onto it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

__all__ = ["MUTANTS", "Mutant", "Patch", "mutant"]

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """What is wrong, how to make it so, and which cases can show it."""

    name: str
    patch: Patch
    kind: str = "events"
    chunk: int = 0
    """Of the drawn cases, the one that told it when it was written: the search begins there, and goes on to all others."""


MUTANTS: list[Mutant] = []


def mutant(kind: str = "events", *, chunk: int = 0) -> Callable[[Patch], Patch]:
    """Registers a patch under the name of its function."""

    def register(patch: Patch) -> Patch:
        MUTANTS.append(Mutant(patch.__name__, patch, kind, chunk))
        return patch

    return register
