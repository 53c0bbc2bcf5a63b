"""A frame's file from the labels and sorted answers: each row where it belongs, whatever part it lies in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import assembling
from jobs.assembling import assemble
from jobs.labels import Labels
from tests.jobs.shop import PAIR_VIEW, RECORD_VIEW

RECORDS, PAIRS = (RECORD_VIEW, ("country",)), (PAIR_VIEW, ("count_1d",))


def labels(folder: Path, rows: int) -> Labels:
    path = folder / "labels.parquet"
    pq.write_table(pa.table({"note": [f"row {n}" for n in range(rows)], "asof_row": np.arange(rows)}), path)
    return Labels(path=str(path), rows=rows, columns=("note",), earliest=0, latest=0)


def answers(folder: Path, view: str, feature: str, parts: list[list[int]], kind: pa.DataType) -> list[Path]:
    made = []
    for n, rows in enumerate(parts):
        values = pa.array([row if kind == pa.int64() else f"of {row}" for row in rows], kind)
        status = pa.array(["ok"] * len(rows), pa.string())
        columns = {"asof_row": pa.array(rows, pa.int64()), f"{view}__{feature}": values, f"{view}__asof_status": status}
        made.append(folder / f"{view}-{n}.parquet")
        pq.write_table(pa.table(columns), made[-1])
    return made


@pytest.mark.parametrize("bucket", [1, 2, 5, 1_000])
def test_rows_stand_in_the_labels_order_and_those_without_an_answer_have_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: int
) -> None:
    monkeypatch.setattr(assembling, "BUCKET", bucket)
    monkeypatch.setattr(assembling, "_LEAST", 1)
    records = answers(tmp_path, "shop_record", "country", [[1, 2, 7], [0, 4, 6]], pa.string())
    pairs = answers(tmp_path, "shop_pair", "count_1d", [[0, 1, 2, 3, 4, 5, 6, 7]], pa.int64())
    out = tmp_path / "new" / "frame.parquet"
    assert assemble(labels(tmp_path, 8), [records, pairs], [RECORDS, PAIRS], out) == 8
    made = pq.read_table(out)
    assert made.column_names == [
        "note",
        "shop_record__country",
        "shop_pair__count_1d",
        "shop_record__asof_status",
        "shop_pair__asof_status",
    ]
    rows = made.to_pylist()
    assert [row["note"] for row in rows] == [f"row {n}" for n in range(8)]
    assert [row["shop_pair__count_1d"] for row in rows] == list(range(8))
    known = {0, 1, 2, 4, 6, 7}
    assert [row["shop_record__country"] for row in rows] == [f"of {n}" if n in known else None for n in range(8)]
    assert [row["shop_record__asof_status"] for row in rows] == ["ok" if n in known else "no_key" for n in range(8)]


def test_an_entity_without_any_answer_is_null_throughout(tmp_path: Path) -> None:
    out = tmp_path / "frame.parquet"
    assert assemble(labels(tmp_path, 2), [[]], [RECORDS], out) == 2
    row = {"shop_record__country": None, "shop_record__asof_status": "no_key"}
    assert pq.read_table(out).to_pylist() == [{"note": "row 0", **row}, {"note": "row 1", **row}]


def test_a_merge_that_fails_leaves_the_old_frame_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out" / "frame.parquet"
    out.parent.mkdir()
    out.write_text("old")
    broken = answers(tmp_path, "shop_record", "other", [[0]], pa.string())
    broken[0].write_bytes(broken[0].read_bytes()[:-4] + b"none")
    with pytest.raises(pa.ArrowInvalid):
        assemble(labels(tmp_path, 2), [broken], [RECORDS], out)
    assert [path.name for path in out.parent.iterdir()] == ["frame.parquet"]
    assert out.read_text() == "old"
