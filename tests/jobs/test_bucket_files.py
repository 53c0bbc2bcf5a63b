"""Files of buckets: tiny ones of a cut and day become one, in which every bucket still finds its keys."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.tiling import tiling
from features.values.tiles import tiles
from jobs.bucket_files import join_tiles, read_tiles, write_tiles
from jobs.exchange import bucket_of
from tests.jobs.catalogue_of_audits import SHOP_SALES

DAY = 86_400_000_000
CUT = 20_000 * DAY
BUCKETS = 4
SHOPS = [f"shop{n}" for n in range(40)]


def built(location: Path) -> dict[int, pa.Table]:
    """Tiles of one day, written bucket by bucket; what was made of each."""
    assert SHOP_SALES.source.event_id is not None
    wanted = tiling(SHOP_SALES).columns
    of = bucket_of([pa.chunked_array([SHOPS])], BUCKETS)
    made = {}
    for bucket in range(BUCKETS):
        mine = [shop for shop, place in zip(SHOPS, of.tolist(), strict=True) if place == bucket]
        time = pa.array([CUT - DAY + 5] * len(mine), pa.int64())
        columns = {
            "sale_id": pa.array(mine),
            "shop_id": pa.array(mine),
            "amount": pa.array(range(len(mine)), pa.int64()),
        }
        rows = pa.table({
            "asof_k0": pa.array(mine), "asof_time": time, "asof_known": time, "asof_undoes": pa.nulls(len(mine), pa.int64()),
            "asof_retract": pa.array([False] * len(mine)), **{f"s_{name}": columns[name] for name in wanted if name in columns},
        })  # fmt: skip
        made[bucket] = tiles(SHOP_SALES, rows, [CUT])
        assert sum(count for _, _, count in write_tiles(SHOP_SALES, made[bucket], location, bucket, BUCKETS)) == len(
            mine
        )
    return made


def test_tiny_files_become_one_and_each_bucket_finds_its_own(tmp_path: Path) -> None:
    made = built(tmp_path)
    (folder,) = tmp_path.glob("cut=*/day=*")
    cut, day = folder.parent.name.removeprefix("cut="), folder.name.removeprefix("day=")
    apart = [read_tiles(SHOP_SALES, [str(folder)], bucket, BUCKETS) for bucket in range(BUCKETS)]
    join_tiles(str(tmp_path), {(cut, day): len(SHOPS)})
    assert [path.name for path in folder.iterdir()] == ["tiles-00000-of-00001.parquet"]
    assert pq.ParquetFile(folder / "tiles-00000-of-00001.parquet").metadata.num_rows == len(SHOPS)
    for bucket in range(BUCKETS):
        found = read_tiles(SHOP_SALES, [str(folder)], bucket, BUCKETS)
        assert found.sort_by("k0") == apart[bucket].sort_by("k0")
        assert len(found) == len(made[bucket])


def test_files_that_are_worth_it_stay_apart(tmp_path: Path) -> None:
    built(tmp_path)
    (folder,) = tmp_path.glob("cut=*/day=*")
    cut, day = folder.parent.name.removeprefix("cut="), folder.name.removeprefix("day=")
    before = sorted(path.name for path in folder.iterdir())
    join_tiles(str(tmp_path), {(cut, day): 2_000 * len(before)})
    assert sorted(path.name for path in folder.iterdir()) == before
