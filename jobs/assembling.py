"""A frame's file from the labels and the entities' answers, in the labels' order: one merge, a bucket of rows at a time.

Each part file of answers is in the order of `asof_row`, so that all are read once, front to back, and nothing is sorted or joined.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions.names import status_column
from features.definitions.views import FeatureView
from features.values.sweep import ARROW_TYPES
from jobs.labels import Labels

__all__ = ["BUCKET", "assemble"]

BUCKET = 131_072
"""Rows that are put together at a time."""
_LEAST = 1_024
Selected = Sequence[tuple[FeatureView, Sequence[str]]]


class _Answers:
    """The answers of one entity's views: its part files, each read as far as the rows asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.schema: pa.Schema = pq.read_schema(paths[0])
        size = max(_LEAST, BUCKET // len(paths))
        self.files = [pq.ParquetFile(path) for path in paths]
        self.batches: list[Iterator[pa.RecordBatch]] = [file.iter_batches(batch_size=size) for file in self.files]
        self.read: list[pa.Table] = [self.schema.empty_table() for _ in paths]

    def rows(self, start: int, stop: int) -> pa.Table:
        """One row for each of `[start, stop)`, null where there is no answer."""
        found = pa.concat_tables([self._before(n, stop) for n in range(len(self.files))]).combine_chunks()
        places = np.full(stop - start, -1, np.int64)
        places[found["asof_row"].to_numpy() - start] = np.arange(len(found))
        return found.drop_columns(["asof_row"]).take(pa.array(places, mask=places < 0))

    def _before(self, n: int, stop: int) -> pa.Table:
        table = self.read[n]
        while not len(table) or table["asof_row"][-1].as_py() < stop:
            batch = next(self.batches[n], None)
            if batch is None:
                break
            table = pa.concat_tables([table, pa.Table.from_batches([batch])])
        count = int(np.searchsorted(table["asof_row"].to_numpy(), stop))
        self.read[n] = table.slice(count)
        return table.slice(0, count)

    def close(self) -> None:
        for file in self.files:
            file.close()


def assemble(labels: Labels, answers: Sequence[Sequence[Path]], chosen: Selected, out: Path) -> int:
    """Writes the frame, whole or not at all; gives its rows.

    Args:
        labels: staged, in the input's order.
        answers: Parquet files an entity, each sorted by `asof_row`; rows whose key is null have none.
        chosen: views and their features, in the order of the frame's columns.
        out: the file.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid4().hex[:8]}")
    opened = [_Answers(paths) for paths in answers if paths]
    rows, writer = 0, None
    try:
        for batch in pq.ParquetFile(labels.path).iter_batches(batch_size=BUCKET):
            asked = pa.Table.from_batches([batch]).drop_columns(["asof_row"])
            made = _columns(asked, [each.rows(rows, rows + len(asked)) for each in opened], chosen)
            writer = writer or pq.ParquetWriter(temporary, made.schema, compression="zstd")
            writer.write_table(made)
            rows += len(made)
        if writer is not None:
            writer.close()
            temporary.replace(out)
    finally:
        if writer is not None and writer.is_open:
            writer.close()
        for each in opened:
            each.close()
        temporary.unlink(missing_ok=True)
    return rows


def _columns(asked: pa.Table, found: Sequence[pa.Table], chosen: Selected) -> pa.Table:
    """The labels' columns, the features, then a status a view: no_key where there is no answer."""
    of = {name: table[name] for table in found for name in table.column_names}
    made = {name: asked[name] for name in asked.column_names}
    for view, names in chosen:
        for name in names:  # of an entity none of whose keys is given there are no answers at all
            column = f"{view.name}__{name}"
            made[column] = of[column] if column in of else pa.nulls(len(asked), ARROW_TYPES[view.types[name]])
    for view, _ in chosen:
        status = of.get(status_column(view), pa.nulls(len(asked), pa.string()))
        made[status_column(view)] = pc.fill_null(status, "no_key")
    return pa.table(made)
