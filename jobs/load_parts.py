"""Published rows on their way into Redis: in parts, each written and told of alone, in this process or by Spark's tasks; only counts come back."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, cast

import pyarrow as pa

from features.errors import BusyError, InputError
from jobs.files import changed, read_group, row_groups, rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    Rows: TypeAlias = DataFrame | pa.Table

__all__ = ["Finish", "Parts", "Writer", "files_behind", "number_of", "total"]

Writer = Callable[[Iterable[pa.RecordBatch]], Iterator[int]]
"""Writes batches; gives how many rows each had."""
Finish = Callable[[int, int], None]
"""Called once all rows of a part are written: its place, and how many there were."""
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Parts:
    """Rows as parts: the row groups of the files behind a frame, slices of a table; the same rows always have the same parts."""

    rows: "Rows"
    schema: pa.Schema
    """Of the rows that are written."""

    @cached_property
    def groups(self) -> list[tuple[str, int]]:
        """Of a frame's files; none where it is not only those, or not a frame: Spark would make rows of columns, and columns again."""
        return [] if isinstance(self.rows, pa.Table) else row_groups(files_behind(self.rows))

    @cached_property
    def stand_for(self) -> str:
        """Of other rows, or other parts, it is another; nothing where there are no parts that a later load would find again."""
        told = hashlib.sha256(repr((self.groups, _ROWS_AT_ONCE, self.schema.names)).encode())
        if isinstance(self.rows, pa.Table):
            for batch in cast("pa.Table", self.rows).combine_chunks().to_batches():
                told.update(batch.serialize())
        elif self.groups:
            told.update(repr(changed(sorted({path for path, _ in self.groups}))).encode())
        else:
            return ""
        return told.hexdigest()[:32]

    def write(self, write: Writer, done: Mapping[int, int], finish: Finish) -> int:
        """Writes the parts that are not done; how many rows there are in all.

        Raises:
            BusyError: the store does not answer, or another load took over; InputError: a key is null.
        """
        rows = self.rows
        here = isinstance(rows, pa.Table)
        return sum(done.values()) + (
            _written_here(rows, write, done, finish) if here else self._in_tasks(write, done, finish)
        )

    def _in_tasks(self, write: Writer, done: Mapping[int, int], finish: Finish) -> int:
        if not self.groups:
            return total(self.rows, write)
        groups, schema = self.groups, self.schema
        left = [part for part in range(len(groups)) if part not in done]

        def opened(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for part in (left[place] for batch in batches for place in batch["id"].to_pylist()):
                path, number = groups[part]
                rows = sum(write(read_group(path, number, schema).to_batches(max_chunksize=_ROWS_AT_ONCE)))
                finish(part, rows)
                yield _counted(rows)

        if not left:
            return 0
        return _summed(self.rows.sparkSession.range(0, len(left), 1, len(left)).mapInArrow(opened, "number long"))


def _written_here(rows: pa.Table, write: Writer, done: Mapping[int, int], finish: Finish) -> int:
    written = 0
    for part, batch in enumerate(rows.combine_chunks().to_batches(max_chunksize=_ROWS_AT_ONCE)):
        if part not in done:
            count = sum(write([batch]))
            finish(part, count)
            written += count
    return written


def total(rows: "Rows", write: Writer) -> int:
    """Runs a writer over rows, those of a frame in Spark's tasks, and adds up what it counted.

    Raises:
        BusyError: the store does not answer, or another load took over; InputError: a key is null.
    """
    if isinstance(rows, pa.Table):
        return sum(write(cast("pa.Table", rows).combine_chunks().to_batches()))
    return _summed(rows.mapInArrow(lambda batches: map(_counted, write(batches)), "number long"))


def _counted(number: int) -> pa.RecordBatch:
    return pa.record_batch({"number": pa.array([number], pa.int64())})


def _summed(counts: "DataFrame") -> int:
    from pyspark.errors import PythonException  # noqa: PLC0415 - a second, and only where Spark runs already

    try:
        return sum(counts.toArrow()["number"].to_pylist())
    except PythonException as error:
        # What a task raised comes as text.
        for kind in (BusyError, InputError):
            if found := re.search(rf"features\.errors\.{kind.__name__}: (.*)", str(error)):
                raise kind(found[1]) from error
        if found := re.search(r"redis\.exceptions\.\w+: .*", str(error)):
            msg = f"The online store failed during the load: {found[0]}. The generation it served stays the live one; run the same command again."
            raise BusyError(msg) from error
        raise


def number_of(rows: "Rows") -> int:
    """Of rows; as the files say, where they are Parquet's."""
    if isinstance(rows, pa.Table):
        return int(cast("pa.Table", rows).num_rows)
    files = files_behind(rows)
    return rows_of(files) if files else rows.count()


def files_behind(rows: "DataFrame") -> list[str]:
    """The files that a published table's rows are; none where they are not only those."""
    from jobs.tables import files_of  # noqa: PLC0415 - as above

    return files_of(rows)
