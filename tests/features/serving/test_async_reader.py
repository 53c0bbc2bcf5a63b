"""Lookups from an event loop: the reader's own answers, many at once, errors as they are."""

import asyncio

import pytest

from features.errors import InputError, MissingError
from features.serving.async_reader import AsyncReader
from features.serving.reader import Reader
from features.settings import Settings
from tests.features.serving.habits import CATALOG, HABIT_ROWS, HABITS, NOW, PAIR_ROWS, PAIRS, put

KEYS: list[dict[str, object]] = [{"card_id": "c1", "shop": "s"}, {"card_id": "c2", "shop": None}]


def test_many_at_once_give_what_the_reader_gives(either_store: Settings) -> None:
    """Few keys and many: the first are looked up in the loop where the store is Redis."""
    settings = either_store.model_copy(update={"serving": either_store.serving.model_copy(update={"threads": 3})})
    put(settings, HABITS, HABIT_ROWS)
    put(settings, PAIRS, PAIR_ROWS)
    with Reader(settings, CATALOG) as reader:
        meant = reader.lookup("both", KEYS)
        single = reader.lookup_features({"habits": ["count_7d"]}, [{"card_id": "c1"}], NOW)

    async def ask() -> None:
        async with AsyncReader(settings, CATALOG) as lookups:
            await lookups.warm()
            assert await asyncio.gather(*(lookups.lookup("both", KEYS) for _ in range(50))) == [meant] * 50
            assert await lookups.lookup_features({"habits": ["count_7d"]}, [{"card_id": "c1"}], NOW) == single
            many = KEYS * 50
            assert (await lookups.lookup("both", many)).keys == tuple(meant.keys) * 50
            with pytest.raises(InputError, match=r"it lacks shop"):
                await lookups.lookup("both", [{"card_id": "c1"}])
            with pytest.raises(MissingError, match="There is no service 'nothing'"):
                await lookups.lookup("nothing", KEYS)

    asyncio.run(ask())
