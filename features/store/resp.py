"""Redis's own protocol (RESP 2) packed by hand, many commands in the time that a client library takes for one; and taken apart."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from features.definitions.expressions import ColumnType
from features.store.values import DOUBLE, encode

__all__ = ["Items", "bulk", "command", "commands_in", "fields_and_values"]

Items = Sequence[tuple[bytes, bytes, int]]
"""A key, packed commands that touch nothing outside its slot, and how many those are."""


def bulk(text: bytes) -> bytes:
    r"""One argument.

    >>> bulk(b"GET")
    b'$3\r\nGET\r\n'
    """
    return b"$%d\r\n%b\r\n" % (len(text), text)


def command(*arguments: bytes) -> bytes:
    r"""One command.

    >>> command(b"GET", b"a")
    b'*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
    """
    return b"*%d\r\n" % len(arguments) + b"".join(map(bulk, arguments))


def commands_in(packed: bytes) -> Iterator[list[bytes]]:
    r"""The arguments of each packed command.

    >>> list(commands_in(command(b"GET", b"a") + command(b"PING")))
    [[b'GET', b'a'], [b'PING']]
    """
    at = 0
    while at < len(packed):
        end = packed.index(b"\r\n", at)
        count, at, made = int(packed[at + 1 : end]), end + 2, list[bytes]()
        for _ in range(count):
            end = packed.index(b"\r\n", at)
            start, size = end + 2, int(packed[at + 1 : end])
            made.append(packed[start : start + size])
            at = start + size + 2
        yield made


def fields_and_values(named: Sequence[tuple[bytes, pa.Array, ColumnType]]) -> list[bytes]:
    """One a row: the fields of a hash, each before its value as Feast writes it, as the last arguments of HSET.

    Args:
        named: field, values and their type; of columns of one length.
    """
    parts, run = list[list[bytes]](), list[tuple[bytes, pa.Array]]()
    for name, column, kind in named:
        if kind == "float64" and not column.null_count:
            run.append((name, column))
            continue
        parts += [_doubles(run)] if run else []
        run, before = [], bulk(name)
        parts.append([b"%b$%d\r\n%b\r\n" % (before, len(value), value) for value in encode(column, kind)])
    parts += [_doubles(run)] if run else []
    return parts[0] if len(parts) == 1 else [b"".join(row) for row in zip(*parts, strict=True)]


def _doubles(named: Sequence[tuple[bytes, pa.Array]]) -> list[bytes]:
    """The same of numbers that are all there, which take as many bytes in each row: written as one array."""
    heads = [bulk(name) + b"$9\r\n" + bytes((DOUBLE,)) for name, _ in named]
    kinds = [
        part for n, head in enumerate(heads) for part in ((f"h{n}", f"V{len(head)}"), (f"v{n}", "<f8"), (f"e{n}", "V2"))
    ]
    rows = np.empty(len(named[0][1]), np.dtype(kinds))
    for n, (head, (_, column)) in enumerate(zip(heads, named, strict=True)):
        rows[f"h{n}"], rows[f"e{n}"] = np.void(head), np.void(b"\r\n")
        rows[f"v{n}"] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    whole, width = rows.tobytes(), rows.dtype.itemsize
    return [whole[at : at + width] for at in range(0, len(whole), width)]
