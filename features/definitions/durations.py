"""Durations as an author writes them ("30s", "15m", "24h", "90d"), as int64 microseconds."""

import re
from functools import cache

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "duration", "duration_text", "floor_to"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_UNITS = {"us": 1, "ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_TEXT = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")


@cache
def duration(text: str) -> int:
    """Microseconds of a duration.

    >>> duration("24h") == duration("1d") == 86_400_000_000
    True

    Raises:
        ValueError: not a number and a unit.
    """
    if text == "0":
        return 0
    match = _TEXT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a duration. Write a whole number and a unit: 30s, 15m, 24h, 90d."
        raise ValueError(msg)
    return int(match[1]) * _UNITS[match[2]]


def duration_text(length: int) -> str:
    """A positive duration in microseconds as an author would write it, in its largest whole unit.

    >>> duration_text(5_400_000_000), duration_text(172_800_000_000), duration_text(1_500_000)
    ('90m', '2d', '1500ms')
    """
    unit = max((size, name) for name, size in _UNITS.items() if name != "w" and length % size == 0)
    return f"{length // unit[0]}{unit[1]}"


def floor_to(instant: int, step: int) -> int:
    """Floors toward minus infinity, so instants before 1970 land on the same grid.

    >>> floor_to(-1, 10)
    -10
    """
    return instant // step * step
