"""Lists of rows that together have 2 GB or more: merged here they are large binaries, from a Spark task they are refused. A few bytes stand for them."""

import pyarrow as pa
import pytest

from features.definitions.durations import DAY
from features.definitions.tiling import tiling
from features.errors import InputError
from features.values import tile_lists
from features.values.tile_values import merged, metrics
from features.values.tiles import tiles
from jobs.tile_answers import Question, _merging
from tests.features.values.test_followed_tiles import FOLLOWED
from tests.features.values.test_tiles import add, table


@pytest.mark.slow
def test_many_rows_are_large_binaries_here_and_refused_by_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table([add("a", 1, amount=3), add("b", 2, shop="t", amount=9), add("c", 3, amount=5)])
    made = tiles(FOLLOWED, rows, [DAY])
    right = metrics(FOLLOWED, merged(tiling(FOLLOWED), FOLLOWED.keys, made, []), 0, DAY)
    monkeypatch.setattr(tile_lists, "_LARGE", 8)
    summed = merged(tiling(FOLLOWED), FOLLOWED.keys, made, [])
    assert pa.types.is_large_binary(summed.schema.field("amount__rows").type)
    assert metrics(FOLLOWED, summed, 0, DAY) == right
    assert metrics(FOLLOWED, merged(tiling(FOLLOWED), FOLLOWED.keys, pa.concat_tables([summed]), []), 0, DAY) == right
    task = _merging(Question(view=FOLLOWED, by=(), lower=0, cut=DAY))
    said = r"The tiles' column \w+__rows holds 2 GB or more of rows in one Spark task\. Ask for a shorter window, or group by more keys\."
    with pytest.raises(InputError, match=said):
        list(task(made.drop_columns(["card", "shop", "asof_tile", "cut", "asof_replaces"]).to_batches()))


@pytest.mark.slow
def test_a_task_merges_what_has_come_once_it_is_as_much_as_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.tile_answers._AT_ONCE", 2)
    many = [table([add(f"{n}", n % 24, amount=n, shop=f"{n % 7}")]) for n in range(60)]
    made = pa.concat_tables(tiles(FOLLOWED, rows, [DAY]) for rows in many)
    meant = merged(tiling(FOLLOWED), FOLLOWED.keys, made.drop_columns(["asof_replaces"]), ["card"])
    task = _merging(Question(view=FOLLOWED, by=("card",), lower=0, cut=DAY))
    batches = made.drop_columns(["shop", "asof_tile", "cut", "asof_replaces"]).to_batches()
    assert len(batches) == 60
    assert pa.Table.from_batches(task(batches)).equals(meant.combine_chunks())
