"""Row groups of Parquet files, as tasks read them one by one."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from jobs.files import read_group, row_groups

WANTED = pa.schema([("key", pa.int64()), ("n", pa.int64())])


def test_each_row_group_is_read_once_in_the_wanted_columns_and_types(tmp_path: Path) -> None:
    for name, first in (("b.parquet", 10), ("a.parquet", 0)):
        rows = pa.table({"n": pa.array(range(first, first + 5), pa.int32()), "other": ["x"] * 5, "key": range(5)})
        pq.write_table(rows, tmp_path / name, row_group_size=2)
    groups = row_groups(map(str, tmp_path.glob("*.parquet")))
    assert [(Path(path).name, number) for path, number in groups] == [(name, n) for name in ("a.parquet", "b.parquet") for n in range(3)]  # fmt: skip
    tables = [read_group(path, number, WANTED) for path, number in groups]
    assert all(table.schema == WANTED for table in tables)
    assert pa.concat_tables(tables)["n"].to_pylist() == [*range(5), *range(10, 15)]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"key": [1]}), path)
    with pytest.raises(InputError, match=r"a.parquet has no column n: it was published by another definition\. Compute and publish the cut again\.$"):  # fmt: skip
        read_group(path, 0, WANTED)
