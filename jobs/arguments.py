"""Texts of the command line as days, instants and keys, or an error that says how to write them. Standard library only."""

from datetime import UTC, date, datetime

from features.errors import InputError

__all__ = ["day_of", "instant_of", "pair_of"]


def day_of(option: str, text: str) -> date:
    """A UTC day; InputError names the option otherwise."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r} is not a day. Write it as 2026-03-01; days are UTC.") from None


def instant_of(option: str, text: str, *, plain_date: bool = False) -> datetime:
    """An instant in UTC, with `plain_date` also a day's midnight; InputError names the option otherwise."""
    example = "2026-03-02 or 2026-03-02T06:00Z" if plain_date else "2026-03-02T06:00Z"
    if plain_date and "T" not in text and " " not in text.strip():
        try:
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        except ValueError:
            raise InputError(f"{option} {text!r} is not an instant. Write it as {example}.") from None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r} is not an instant. Write it as {example}.") from None
    if value.tzinfo is None and len(text) == len("2026-03-02"):
        raise InputError(f"{option} {text!r} is a day, and here an instant is needed. Write it as {example}.")
    if value.tzinfo is None:
        raise InputError(
            f"{option} {text!r} has no zone, so it names no instant. Write {text}Z if it is UTC, or its offset."
        )
    return value.astimezone(UTC)


def pair_of(text: str) -> tuple[str, str]:
    """`column=value`; InputError otherwise."""
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise InputError(f"The key {text!r} is not written as column=value, for example card_id=c42.")
    return column, value
