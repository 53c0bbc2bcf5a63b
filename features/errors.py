"""The one tree of errors a person meets. Each message says what is wrong with the value shown, where, and what to do.

AsofError
├── InvalidDefinitionError     a definition that contradicts itself; raised alone
├── InvalidCatalogError        every problem of every definition, together
├── SettingsError              a setting that is wrong, or names what is not supported yet
├── InputError                 a file, row, label or argument a person gave
│   ├── EarlyError          an instant before what the online store holds
│   ├── ColumnsError           rows that do not fit the table they are written to; a ValueError too, as Feast has it
│   └── MissingError           a table, partition, column, service or key that is not there
├── HeldError                  a gate said no; the last good values stay
├── BusyError                  somebody else holds what we need, or the disk or a server does not answer; try again
├── StaleError                 a value is older than a service takes it
└── ParityError                two paths gave two values
"""

from collections.abc import Sequence
from typing import Self

__all__ = [
    "AsofError",
    "BusyError",
    "ColumnsError",
    "EarlyError",
    "HeldError",
    "InputError",
    "InvalidCatalogError",
    "InvalidDefinitionError",
    "MissingError",
    "ParityError",
    "SettingsError",
    "StaleError",
]


class AsofError(Exception):
    """The root: catch this to catch everything Asof says to a person."""


class InvalidDefinitionError(AsofError):
    """One definition contradicts itself."""


class InvalidCatalogError(AsofError):
    """All problems of all definitions, so that one run of the checks is enough."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {n}. {problem}" for n, problem in enumerate(self.problems, 1))
        super().__init__(f"{len(self.problems)} problem(s) in the definitions:\n{lines}")


class SettingsError(AsofError):
    """A setting is wrong, or names a part that is not supported yet."""


class InputError(AsofError):
    """A file, row, label or argument that a person gave cannot be used."""


class EarlyError(InputError):
    """Lookups were asked for an instant before what the online store holds."""


class ColumnsError(InputError, ValueError):
    """Rows have other columns than the table they are to be written to. Feast's callers expect a ValueError."""


class MissingError(InputError):
    """Something named is not there; the message lists what is."""

    @classmethod
    def of(cls, what: str, name: str, known: Sequence[str], remedy: str) -> Self:
        """`known` is shown in full up to ten names."""
        shown = ", ".join(sorted(known)[:10]) + (" …" if len(known) > 10 else "")  # noqa: PLR2004
        return cls(f"There is no {what} {name!r}. Known: {shown or 'none'}. {remedy}")


class NotLoadedError(MissingError):
    """The online store does not hold what the definitions say; whoever asks can't mend it."""


class HeldError(AsofError):
    """A gate held this back; what was published before stays."""


class BusyError(AsofError):
    """Somebody else holds what we need, or a server or disk does not answer. Safe to try again."""


class StaleError(AsofError):
    """A service takes a value only while it is fresh, and it is not."""


class ParityError(AsofError):
    """Two paths gave two values for the same feature, key and instant."""
