"""Plain values in Redis: what is asked of Feast's hashes and of head records, and what comes back."""

from collections.abc import Sequence
from typing import Any

from features.store.heads import Head
from features.store.keys import redis_head, redis_states
from features.store.packed import valid_from
from features.store.reads import Answer, Question
from features.store.redis_client import Trip

__all__ = ["HEAD_FIELDS", "LAYOUT", "ask_plain", "head_of", "packed_field", "plain_answers"]

LAYOUT = b"2"
"""Beside Feast's fields each row has a packed one."""

HEAD_FIELDS = ("generation", "cut", "valid_from", "horizon", "rows", "loaded_at")
"""Of a head record, those that are whole numbers."""


def packed_field(view: str) -> bytes:
    """The field of a view's packed row in the hash of an entity's states; those have a number behind the view's name."""
    return view.encode()


def ask_plain(trip: Trip, questions: Sequence[Question]) -> dict[bytes, list[bytes]]:
    """Asks for head records and packed rows; the fields of each entity key, in the order asked."""
    wanted: dict[bytes, list[bytes]] = {}
    for question in questions:
        trip.hgetall(redis_head(question.view))
        name = packed_field(question.view)
        for key in question.keys:
            wanted.setdefault(key, []).append(name)
    for key, fields in wanted.items():
        trip.hmget(redis_states(key), fields)
    return wanted


def plain_answers(
    questions: Sequence[Question], wanted: dict[bytes, list[bytes]], found: Sequence[Any]
) -> list[Answer]:
    """One a question, of what came back for the head records and then for the keys."""
    stored = {key: iter(values) for key, values in zip(wanted, found[len(questions) :], strict=False)}
    made: list[Answer] = []
    for question, record in zip(questions, found, strict=False):
        head, rows = head_of(question.view, record), dict[bytes, bytes]()
        for key in question.keys:
            row = next(stored[key])
            # Rows older than the live generation are what a killed load has not removed yet: its keys are gone.
            if head is not None and row is not None and valid_from(row) >= head.valid_from:
                rows[key] = row
        made.append(Answer(head=head, rows=rows))
    return made


def head_of(view: str, record: dict[bytes, bytes]) -> Head | None:
    """The live generation of a head record; None where no load was ever completed."""
    if record.get(b"layout") != LAYOUT:  # of a store that has no packed rows nothing can be read
        return None
    numbers = {name: int(record[name.encode()]) for name in HEAD_FIELDS}
    return Head(view=view, definition=record[b"definition"].decode(), **numbers)
