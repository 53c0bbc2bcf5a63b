"""Plain values in Redis: what is asked of Feast's hashes and of head records, and what comes back."""

from collections.abc import Mapping, Sequence
from typing import Any

from features.store.heads import Head
from features.store.keys import redis_records, redis_state_keys
from features.store.reads import Answer, Question
from features.store.redis_trips import Parsed, Trip

__all__ = ["HEAD_FIELDS", "LAYOUT", "Groups", "ask_plain", "head_of", "packed_field", "plain_answers"]

LAYOUT = b"2"
"""Beside Feast's fields each row has a packed one."""

HEAD_FIELDS = ("generation", "cut", "valid_from", "horizon", "rows", "loaded_at")
"""Of a head record, those that are whole numbers."""


def packed_field(view: str) -> bytes:
    """The field of a view's packed row in the hash of an entity's states; those have a number behind the view's name."""
    return view.encode()


Groups = Mapping[tuple[bytes, ...], Sequence[int]]
"""By the keys that questions have in common, the places of those questions."""


def ask_plain(trip: Trip, questions: Sequence[Question]) -> Groups:
    """Asks for head records, then for the packed rows of each group's keys; those groups."""
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for place, question in enumerate(questions):
        trip.hgetall(redis_records(question.view, tagged=trip.tagged).head)
        groups.setdefault(question.keys, []).append(place)
    for keys, places in groups.items():
        trip.hmget(redis_state_keys(keys), [packed_field(questions[place].view) for place in places])
    return groups


def plain_answers(
    questions: Sequence[Question], groups: Groups, found: Sequence[Any], heads: Parsed[Head | None]
) -> list[Answer]:
    """One a question, of what came back for the head records and then for the keys."""
    rows: list[dict[bytes, bytes | None]] = [{}] * len(questions)
    at = len(questions)
    for keys, places in groups.items():
        for place, column in zip(places, zip(*found[at : at + len(keys)], strict=True), strict=False):
            rows[place] = dict(zip(keys, column, strict=True))
        at += len(keys)
    return [
        Answer(head=heads.of(question.view, record), rows=some)
        for question, record, some in zip(questions, found, rows, strict=False)
    ]


def head_of(view: str, record: dict[bytes, bytes]) -> Head | None:
    """The live generation of a head record; None where no load was ever completed."""
    if record.get(b"layout") != LAYOUT:  # of a store that has no packed rows nothing can be read
        return None
    numbers = {name: int(record[name.encode()]) for name in HEAD_FIELDS}
    return Head(view=view, definition=record[b"definition"].decode(), **numbers)
