"""Requests that differ by nothing but their entities, as those of one asker nearly always do: a hundred names of features are read once."""

from collections.abc import Sequence
from json import JSONDecoder
from typing import NamedTuple
from uuid import uuid4

from pydantic import ConfigDict, TypeAdapter, ValidationError

from features.errors import InputError
from features.serving.feast_http import Asked, Given, asked, refuse_rows

__all__ = ["AlikeBodies"]

_ENTITIES = TypeAdapter(dict[str, list[Given]], config=ConfigDict(strict=True))
_NAME, _SPACE = b'"entities"', " \t\r\n"
_LONGEST = 1 << 16
"""Bytes of a body that is looked at."""
_REMEMBERED = 64
"""So many beginnings of bodies."""
_ENDS = 4
"""And of each so many ends."""


class _Around(NamedTuple):
    """What stands around the entities."""

    end: bytes
    says: Asked
    """All of a request but its entities."""


class AlikeBodies:
    """Reads bodies of `POST /get-online-features`; of one event loop.

    Of a body whose bytes before its entities, and after them, came before, only these are read: put between the same texts a JSON value is read as it is by itself.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._known: dict[bytes, list[_Around]] = {}
        self._last: tuple[bytes, Sequence[_Around]] = b"", ()

    def asked(self, body: bytes) -> Asked:
        """As `feast_http.asked`, with its errors."""
        begin, known = self._beginning(body)
        for end, says in known:
            if body.endswith(end):
                try:
                    entities = _ENTITIES.validate_json(body[begin : len(body) - len(end)])
                except ValidationError:
                    continue  # more than entities; what is wrong the whole says
                refuse_rows(entities)
                return says._replace(entities=entities)
        made = asked(body)
        if begin and len(body) <= _LONGEST and made.at is None:
            self._remember(body, begin, made)
        return made

    def _beginning(self, body: bytes) -> tuple[int, Sequence[_Around]]:
        """Where the entities begin, and what is known of bodies that begin so; what the body before began with is looked for first."""
        last, known = self._last
        if last and body.startswith(last):
            return len(last), known
        begin = body.find(b":", body.find(_NAME) + len(_NAME)) + 1
        known = self._known.get(body[:begin], ())
        if known:
            self._last = body[:begin], known
        return begin, known

    def _remember(self, body: bytes, begin: int, made: Asked) -> None:
        """What stands around the entities, of the second body that begins so: many never come again."""
        self._last = b"", ()
        known, seen = self._known.get(body[:begin], []), hash(body[:begin])
        if seen in self._seen and len(known) < _ENDS and (around := _around(body, begin, made)):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            # The longest first: of two that a body ends with it is the one, where there is nothing but entities before it.
            self._known[body[:begin]] = sorted([*known, around], key=lambda one: -len(one.end))
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(seen)


def _around(body: bytes, begin: int, made: Asked) -> _Around | None:
    """Of a body whose entities are the value that begins there, which is tried: others in their place are those of the request then; None where it is not."""
    probe: dict[str, list[Given]] = {uuid4().hex: [1]}  # that nobody can have sent
    try:
        text = body[begin:].decode().lstrip(_SPACE)
        end = text[JSONDecoder().raw_decode(text)[1] :].encode()
        tried = asked(body[:begin] + _ENTITIES.dump_json(probe) + end)
    except (ValueError, InputError):
        return None
    return _Around(end, made._replace(entities={})) if tried == made._replace(entities=probe) else None
