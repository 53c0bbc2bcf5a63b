"""The reader, the HTTP service and Feast's client say the same of the same keys, in the types of the definitions; what a door refuses is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from features.definitions.durations import HOUR
from features.errors import BusyError, InputError
from features.feast.registry import apply
from features.serving.reader import Reader, Result
from features.settings import Settings
from features.settings import load as settings_of
from jobs.commands import Through
from jobs.doors import opened
from tests.features.serving.habits import CATALOG, CUT, HABIT_ROWS, HABITS, NOW, put

KEYS = [("c1",), ("nobody",)]
NOTHING: list[dict[str, str]] = [{} for _ in KEYS]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = settings_of(home=tmp_path)
    put(made, HABITS, HABIT_ROWS)
    return made


def test_every_door_says_the_same_at_every_instant(settings: Settings) -> None:
    apply(CATALOG, settings)
    with opened(tuple(Through), settings, CATALOG) as doors:
        assert list(doors) == [Through.READER, Through.SERVICE, Through.FEAST]
        for at in (NOW, CUT + 100 * 24 * HOUR):
            seen = {name: door.look_up((HABITS,), KEYS, NOTHING, at) for name, door in doors.items()}
            values, status = seen[Through.READER][("c1",), "habits"]
            assert (values["count_7d"], values["mean_amount_7d"], status) == (2, 350.0, "ok" if at == NOW else "stale")
            assert seen[Through.READER][("nobody",), "habits"][1] == ("never_seen" if at == NOW else "stale")
            assert seen[Through.SERVICE] == seen[Through.READER]
            assert seen[Through.FEAST] == seen[Through.READER]
            for door in doors.values():
                assert door.look_up((HABITS,), KEYS * 3, NOTHING * 3, at, at_once=1) == seen[Through.READER]


def test_keys_are_asked_for_so_many_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    lookup = Reader.lookup

    def counted(reader: Reader, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        asked.append(len(keys))
        return lookup(reader, service, keys, at)

    monkeypatch.setattr(Reader, "lookup", counted)
    with opened((Through.READER,), settings, CATALOG) as doors:
        for at_once in (1, 2, 5):
            doors[Through.READER].look_up((HABITS,), [("c1",), ("c2",), ("c3",)], [{}] * 3, NOW, at_once)
    assert asked == [1, 1, 1, 2, 1, 3]


def test_feasts_door_is_left_out_where_nothing_was_applied(settings: Settings) -> None:
    with opened(tuple(Through), settings, CATALOG) as doors:
        assert list(doors) == [Through.READER, Through.SERVICE]


def test_what_the_service_refuses_is_told(settings: Settings) -> None:
    with opened((Through.READER, Through.SERVICE), settings, CATALOG) as doors:
        with pytest.raises(InputError, match="had other values than the store holds"):
            doors[Through.READER].look_up((HABITS,), KEYS, NOTHING, CUT - 1)
        with pytest.raises(BusyError, match=r"^The service answered 400: At .* had other values than the store holds"):
            doors[Through.SERVICE].look_up((HABITS,), KEYS, NOTHING, CUT - 1)
