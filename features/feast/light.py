"""Feast, imported by a command or a test of ours: without the checks of argument types that it writes into its classes, which take two thirds of its import.

Compiled objects are made of checked definitions. Whoever imports Feast first, or without this, has it as it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import typeguard

__all__ = ["import_feast", "unchecked"]


def import_feast() -> None:
    """Before anything else of a process imports Feast; nothing happens afterwards."""
    if "feast" not in sys.modules:
        with unchecked():
            import_module("feast")


@contextmanager
def unchecked() -> Iterator[None]:
    """What is imported meanwhile comes without typeguard's checks."""
    checks = typeguard.typechecked
    typeguard.typechecked = _as_it_is  # type: ignore[assignment]
    try:
        yield
    finally:
        typeguard.typechecked = checks


def _as_it_is(target: object = None, **_: object) -> object:
    return _as_it_is if target is None else target
