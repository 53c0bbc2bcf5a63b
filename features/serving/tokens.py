"""Who may ask: bearer tokens, each with the services it may read. The file holds their digests, never a token."""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from uuid import uuid4

from features.errors import MissingError, SettingsError

__all__ = ["Tokens", "Who", "grant", "revoke"]

_BYTES = 32


class _Item(TypedDict):
    sha256: str
    services: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """The holder of a token."""

    name: str
    services: frozenset[str]
    """What it may read."""


class Tokens:
    """The tokens of a file, as it was when a request came: a token granted or revoked meanwhile counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, dict[str, Who]] = (-1, {})

    def who(self, token: str) -> Who | None:
        """The holder; None where no token is that one.

        Raises:
            SettingsError: the file cannot be read.
        """
        digest = _digest(token)
        # All are compared, so the time says nothing about which one is near.
        found = [who for held, who in self._holders().items() if hmac.compare_digest(held, digest)]
        return found[0] if found else None

    def _holders(self) -> dict[str, Who]:
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if self._read[0] != changed:
            made = {
                item["sha256"]: Who(name=name, services=frozenset(item["services"]))
                for name, item in _load(self._path).items()
            }
            self._read = changed, made
        return self._read[1]


def grant(path: Path, name: str, services: Sequence[str]) -> str:
    """A new token for a holder, whose former one, if any, is no longer good. It is nowhere else: the file has its digest.

    Raises:
        SettingsError: the file cannot be read.
    """
    token = secrets.token_urlsafe(_BYTES)
    with _alone(path):
        held = _load(path) if path.exists() else {}
        _save(path, {**held, name: {"sha256": _digest(token), "services": sorted(set(services))}})
    return token


def revoke(path: Path, name: str) -> None:
    """A holder's token is no longer good.

    Raises:
        MissingError: nobody of that name holds one.
        SettingsError: the file cannot be read.
    """
    with _alone(path):
        held = _load(path) if path.exists() else {}
        if name not in held:
            raise MissingError.of("token", name, sorted(held), "`asof grant NAME --service SERVICE` makes one.")
        _save(path, {other: item for other, item in held.items() if other != name})


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One change at a time, so that none is lost; a killed process holds nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _load(path: Path) -> dict[str, _Item]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(name): {"sha256": str(item["sha256"]), "services": [str(each) for each in item["services"]]}
            for name, item in found.items()
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        msg = f"The tokens in {path} cannot be read: {type(error).__name__}. Restore the file, or remove it and grant each token anew with `asof grant`."
        raise SettingsError(msg) from error


def _save(path: Path, held: Mapping[str, _Item]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        json.dump(held, file, indent=1)
    temporary.replace(path)
