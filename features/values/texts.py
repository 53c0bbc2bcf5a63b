"""What texts say of each other and of themselves: likeness, digits, the network of an address. Each pair of texts is looked at once."""

from collections.abc import Callable
from ipaddress import ip_address

import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz, utils

__all__ = ["digit_shares", "likenesses", "subnets"]

_DIGITS = frozenset("0123456789")
_BITS = {4: 24, 6: 48}
"""Of an address, by its version: what one household or company usually has."""
_FEW = 16
"""Texts that are not worth a look at which are the same."""


def subnets(addresses: pa.Array | pa.Scalar) -> pa.Array | pa.Scalar:
    """Texts such as `192.0.2.0/24`; null for a text that is no address."""
    return _each(addresses, _subnet, pa.string())


def digit_shares(texts: pa.Array | pa.Scalar) -> pa.Array | pa.Scalar:
    """float64, 0 to 1; null for an empty text."""
    return _each(texts, _digit_share, pa.float64())


def likenesses(of: pa.Array, *others: pa.Array, words: bool) -> pa.Array:
    """float64, 0 to 1: of each text to the one of its row that it is most like; null where it or all others are null or without letter and digit."""
    compare = fuzz.token_set_ratio if words else fuzz.token_sort_ratio
    rows = list(zip(of.to_pylist(), *(other.to_pylist() for other in others), strict=True))
    made = {row: _likeness(compare, *row) for row in dict.fromkeys(rows)}
    return pa.array([made[row] for row in rows], pa.float64())


def _likeness(compare: Callable[[str, str], float], *texts: str | None) -> float | None:
    text, *others = ("" if part is None else utils.default_process(part) for part in texts)
    return max((compare(text, other) / 100.0 for other in others if other), default=None) if text else None


def _subnet(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    bits = _BITS[address.version]
    rest = address.max_prefixlen - bits
    return f"{type(address)(int(address) >> rest << rest)}/{bits}"


def _digit_share(text: str) -> float | None:
    return sum(letter in _DIGITS for letter in text) / len(text) if text else None


def _each(
    texts: pa.Array | pa.Scalar, make: Callable[[str], str | float | None], kind: pa.DataType
) -> pa.Array | pa.Scalar:
    if isinstance(texts, pa.Scalar):
        return pa.scalar(None if texts.as_py() is None else make(texts.as_py()), kind)
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if len(column) < _FEW:
        return pa.array([None if text is None else make(text) for text in column.to_pylist()], kind)
    coded = pc.dictionary_encode(column)
    return pa.array([make(text) for text in coded.dictionary.to_pylist()], kind).take(coded.indices)
