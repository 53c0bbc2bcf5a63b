"""Plain values in Redis: what is asked of Feast's hashes and of head records, and what comes back."""

from collections.abc import Sequence
from typing import Any

from features.store.heads import Head
from features.store.keys import PROJECT, decode_instant, field, instant_field, redis_head
from features.store.reads import Answer, Question

__all__ = ["HEAD_FIELDS", "ask_plain", "head_of", "plain_answers"]

HEAD_FIELDS = ("generation", "cut", "valid_from", "horizon", "rows", "loaded_at")
"""Of a head record, those that are whole numbers."""


def ask_plain(pipe: Any, questions: Sequence[Question]) -> dict[bytes, dict[bytes, None]]:  # noqa: ANN401 - see client_of
    """Asks for head records and rows; the fields of each Redis key, in the order asked."""
    wanted: dict[bytes, dict[bytes, None]] = {}
    for question in questions:
        pipe.hgetall(redis_head(question.view))
        names = [instant_field(question.view), *(field(question.view, name) for name in question.features)]
        for key in question.keys:
            wanted.setdefault(key + PROJECT.encode(), {}).update(dict.fromkeys(names))
    for key, fields in wanted.items():
        pipe.hmget(key, list(fields))
    return wanted


def plain_answers(
    questions: Sequence[Question], wanted: dict[bytes, dict[bytes, None]], found: Sequence[Any]
) -> list[Answer]:
    """One a question, of what came back for the head records and then for the keys."""
    stored = {
        key: dict(zip(fields, values, strict=True))
        for (key, fields), values in zip(wanted.items(), found[len(questions) :], strict=False)
    }
    return [
        _answer(question, head_of(question.view, record), stored)
        for question, record in zip(questions, found, strict=False)
    ]


def _answer(question: Question, head: Head | None, stored: dict[bytes, dict[bytes, bytes | None]]) -> Answer:
    rows: dict[bytes, tuple[int, dict[str, bytes]]] = {}
    for key in question.keys:
        values = stored[key + PROJECT.encode()]
        stamp = values[instant_field(question.view)]
        # Rows older than the live generation are what a killed load has not removed yet: its keys are gone.
        if head is not None and stamp is not None and (valid_from := decode_instant(stamp)) >= head.valid_from:
            found = {name: values[field(question.view, name)] for name in question.features}
            rows[key] = (valid_from, {name: value for name, value in found.items() if value is not None})
    return Answer(head=head, rows=rows)


def head_of(view: str, record: dict[bytes, bytes]) -> Head | None:
    """The live generation of a head record; None where no load was ever completed."""
    if b"generation" not in record:
        return None
    numbers = {name: int(record[name.encode()]) for name in HEAD_FIELDS}
    return Head(view=view, definition=record[b"definition"].decode(), **numbers)
