"""What a view's plain rows say, whatever lies in the store."""

import pytest

from features.serving.served import Served
from features.store.heads import Layout
from features.store.reads import Answer, Block
from tests.features.serving.habits import CUT, DAY, HABIT_ROWS, HABITS, HOUR, NOW, rows

LAYOUT = Layout.of(HABITS, CUT)
HEAD = LAYOUT.head(generation=2, rows=1, loaded_at=NOW)


@pytest.mark.parametrize("times", [1, 12])
def test_rows_older_than_the_live_generation_are_gone(times: int) -> None:
    served = Served(HABITS)
    (new, *_), (old, *_) = (
        served.packing.pack(HABIT_ROWS, stamp) for stamp in (LAYOUT.valid_from, LAYOUT.valid_from - DAY)
    )
    keys = [b"new", b"old", b"broken", None] * times
    answer = Answer(head=HEAD, rows={b"new": new, b"old": old, b"broken": new[:-1]})
    found = served.plain(("count_7d",), keys, answer, NOW)
    assert list(found.statuses) == ["ok", "never_seen", "damaged", "no_key"] * times
    assert list(found.values["count_7d"]) == [2, 0, None, None] * times
    assert set(found.cuts) == {CUT}


def test_rows_of_one_definition_alone_are_all_read() -> None:
    served = Served(HABITS)
    (row, *_) = served.packing.pack(HABIT_ROWS, LAYOUT.valid_from)
    found = served.plain(("count_7d",), [b"a"] * 20, Answer(head=HEAD, rows={b"a": row}), NOW)
    assert (list(found.statuses), list(found.values["count_7d"])) == (["ok"] * 20, [2] * 20)


@pytest.mark.parametrize("keys", [["k0", "k1"], ["k1", "k0"], ["k0", "k1", "k0"], ["k0", None]])
def test_rows_in_a_block_are_taken_where_each_key_is_asked_once_and_in_its_order(keys: list[str | None]) -> None:
    """As a store has many of them; that there are two makes no difference to what is said."""
    served = Served(HABITS)
    batch = rows(
        HABITS, {"card_id": ["k0", "k1"]}, ["ok", "ok"], count_7d=[7, 8], count_30d=[7, 8], sum_amount_7d=[0, None], mean_amount_7d=[0.5, None],
        count_30d_minus_count_7d=[0, 0],
    )  # fmt: skip
    packed = served.packing.pack(batch, LAYOUT.valid_from)
    there = list(dict.fromkeys(filter(None, keys)))  # a question has its keys in the order in which they are asked
    by_name: dict[str, bytes] = dict(zip(("k0", "k1"), packed, strict=True))
    block = Block(b"".join([b"\7" + by_name[name] for name in there]), len(there), 1)
    answer = Answer(HEAD, {name.encode(): by_name[name] for name in there}, block)
    found = served.plain(
        ("mean_amount_7d", "count_7d"), [None if name is None else name.encode() for name in keys], answer, NOW
    )
    meant: dict[str | None, object] = {"k0": (7, 0.5), "k1": (8, None), None: (None, None)}
    assert list(zip(found.values["count_7d"], found.values["mean_amount_7d"], strict=True)) == [
        meant[name] for name in keys
    ]
    assert list(found.statuses) == ["no_key" if name is None else "ok" for name in keys]


@pytest.mark.parametrize(("at", "status"), [(NOW, "never_seen"), (CUT + 2 * DAY + HOUR, "stale")])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_key_without_a_row_is_what_was_never_seen_among_any_number(count: int, at: int, status: str) -> None:
    served, names = Served(HABITS), tuple(HABITS.types)
    found = served.plain(names, [b"new"] * count, Answer(HEAD, {b"new": None}), at)
    assert {name: list(cells) for name, cells in found.values.items()} == {
        name: [served.unseen[name]] * count for name in names
    }
    assert (list(found.statuses), list(found.cuts), list(found.ages)) == (
        [status] * count,
        [CUT] * count,
        [at - CUT] * count,
    )


def test_of_no_keys_nothing_is_said() -> None:
    found = Served(HABITS).plain(("count_7d",), [], Answer(HEAD, {}), NOW)
    assert (dict(found.values), list(found.statuses)) == ({"count_7d": ()}, [])
