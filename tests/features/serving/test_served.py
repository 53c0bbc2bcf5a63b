"""What a view's plain rows say, whatever lies in the store."""

import pytest

from features.serving.served import Served
from features.store.heads import Layout
from features.store.reads import Answer
from tests.features.serving.habits import CUT, DAY, HABIT_ROWS, HABITS, NOW

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
