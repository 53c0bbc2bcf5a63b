"""What texts say of each other, by the book: part of the oracle. Likeness is rapidfuzz's, written again from its documentation."""

from collections.abc import Sequence

__all__ = ["likeness", "network"]


def likeness(text: str | None, others: Sequence[str | None], *, words: bool) -> float | None:
    """Of a text to the nearest of others."""
    one = _plain(text)
    found = [_of_words(one, other) if words else _sorted(one, other) for other in map(_plain, others) if one and other]
    return max(found, default=None)


def _plain(text: str | None) -> list[str]:
    """Words of letters and digits, small."""
    return "".join(letter.lower() if letter.isalnum() else " " for letter in text or "").split()


def _sorted(one: list[str], other: list[str]) -> float:
    return _ratio(" ".join(sorted(one)), " ".join(sorted(other)))


def _of_words(one: list[str], other: list[str]) -> float:
    both, first, second = sorted({*one} & {*other}), sorted({*one} - {*other}), sorted({*other} - {*one})
    if both and not (first and second):
        return 1.0
    common, left, right = (" ".join(words) for words in (both, both + first, both + second))
    found = [_ratio(left, right)]
    if both:
        found += [_ratio(common, left), _ratio(common, right)]
    return max(found)


def _ratio(one: str, other: str) -> float:
    """Twice the longest common subsequence over both lengths, in percent as rapidfuzz has it."""
    row = [0] * (len(other) + 1)
    for letter in one:
        before = row[:]
        for n, against in enumerate(other):
            row[n + 1] = before[n] + 1 if letter == against else max(before[n + 1], row[n])
    total = len(one) + len(other)
    return (1.0 - (total - 2 * row[-1]) / total) * 100 / 100.0


def network(address: str | None) -> str | None:
    """24 bits of an IPv4 address."""
    parts = (address or "").split(".")
    if len(parts) != 4 or not all(part.isdigit() and str(int(part)) == part and int(part) < 256 for part in parts):
        return None
    return f"{parts[0]}.{parts[1]}.{parts[2]}.0/24"
