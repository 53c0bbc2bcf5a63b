"""Random streams and identifiers: each a pure function of the seed, so that a run is the same bytes wherever it runs.

A day draws from its own streams; a longer run therefore begins with the very days of a shorter one.
"""

from typing import Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Columns",
    "Floats",
    "Ints",
    "concat",
    "identifiers",
    "ip_addresses",
    "moments",
    "runs",
    "stream",
    "take",
    "traits",
    "within",
]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]
"""Equally long arrays by name: a table before it gets its Arrow types."""

_STREAMS: Final = (
    "world", "births", "profiles", "honest", "attacks", "outcomes", "delivery", "disputes", "corruption",
    "raids", "rogues", "rogue_births", "raid_outcomes", "raid_delivery", "raid_disputes", "logins", "changes", "orders", "refunds",
    "tickets", "money", "listings",
)  # fmt: skip
"""A name's place is part of its seed: new ones come last, and leave the draws of all others as they were."""
_KINDS: Final = (
    "pay", "acc", "card", "dev", "em", "mer", "adr", "dsp", "ref", "log", "chg", "val", "ord", "tck", "pyo", "pac",
    "adv", "mov", "lst",
)  # fmt: skip
_BITS: Final = 40
_MASK: Final = np.uint64((1 << _BITS) - 1)
_HEX_QUADS: Final = np.frombuffer("".join(f"{value:04x}" for value in range(1 << 16)).encode(), dtype=np.uint32)
"""The four characters of each 16 bits, as one number."""
_DIGITS: Final = _BITS // 4
_SUBNETS: Final = np.uint64((1 << 22) - 1)


def stream(seed: int, name: str, day: int = 0) -> np.random.Generator:
    """The generator of one subject on one day (0 = the first); `name` is one of the fixed streams."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _STREAMS.index(name), day])))


def identifiers(kind: str, numbers: npt.NDArray[Any], seed: int) -> pa.Array:
    """Distinct ids such as ``card_00f3a91c7e`` for distinct numbers below 2**40, in no order that tells their age."""
    salt = np.random.SeedSequence([seed, 1 + _KINDS.index(kind)]).generate_state(1, np.uint64)[0]
    mixed = _mix(numbers.astype(np.uint64) ^ (salt & _MASK))
    prefix = np.frombuffer(f"{kind}_".encode(), dtype=np.uint8)
    width = len(prefix) + _DIGITS
    text = np.empty((len(numbers), width), dtype=np.uint8)
    text[:, : len(prefix)] = prefix
    for place, quad in ((0, mixed >> np.uint64(24)), (4, (mixed >> np.uint64(8)) & np.uint64(0xFFFF))):
        four = _HEX_QUADS[quad.astype(np.int64)].view(np.uint8).reshape(-1, 4)
        text[:, len(prefix) + place : len(prefix) + place + 4] = four
    two = _HEX_QUADS[(mixed & np.uint64(255)).astype(np.int64)].view(np.uint8).reshape(-1, 4)
    text[:, len(prefix) + 8 :] = two[:, 2:]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def ip_addresses(numbers: npt.NDArray[Any]) -> pa.Array:
    """Dotted addresses; numbers with the same ``number // 256`` (below 2**22) share a /24, others never do."""
    subnets = (numbers.astype(np.uint64) >> np.uint64(8)) & _SUBNETS
    mixed = (subnets * np.uint64(2_654_435_761)) & _SUBNETS
    octets = (32 + (mixed >> np.uint64(16)), (mixed >> np.uint64(8)) & np.uint64(255), mixed & np.uint64(255))
    names = pa.array([str(octet) for octet in range(256)])
    host = numbers.astype(np.int64) & 255
    parts = [names.take(pa.array(octet.astype(np.int64))) for octet in (*octets, host)]
    return pc.binary_join_element_wise(*parts, ".")


def traits(name: str, numbers: npt.NDArray[Any], seed: int) -> Floats:
    """What is so of somebody for good, uniform in [0, 1): a function of the seed, the trait's name and the number alone."""
    salt = np.random.SeedSequence([seed, crc32(name.encode())]).generate_state(1, np.uint64)[0]
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    shares: Floats = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return shares


def moments(rng: np.random.Generator, day_us: int, count: int) -> Ints:
    """Instants at any time of the UTC day."""
    return day_us + rng.integers(86_400_000_000, size=count)


def runs(lengths: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """For groups of these lengths, one after another: each row's group, and its place in it from 0 on."""
    group = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    return group, np.arange(len(group)) - np.repeat(first, lengths)


def take(columns: Columns, index: npt.NDArray[Any]) -> Columns:
    """The rows of `index` (positions or a mask), in that order."""
    return {name: values[index] for name, values in columns.items()}


def concat(*parts: Columns) -> Columns:
    """One after the other; all have the columns of the first."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def within(rng: np.random.Generator, low_us: float, high_us: float, count: int) -> Ints:
    """Durations in microseconds, log-uniform in [low_us, high_us): as many short as long ones by order of magnitude."""
    return np.exp(rng.uniform(np.log(low_us), np.log(high_us), count)).astype(np.int64)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A bijection of 40-bit numbers: odd multiplications and xor-shifts each have an inverse."""
    values = (values * np.uint64(0x9E3779B97F4A7C15)) & _MASK
    values = values ^ (values >> np.uint64(19))
    values = (values * np.uint64(0xBF58476D1CE4E5B9)) & _MASK
    return values ^ (values >> np.uint64(17))
