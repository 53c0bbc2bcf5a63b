"""The hostile days of the shop with partitions that a gate holds, and some that it released: what ingest leaves of them."""

import math
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features import cohort_rate
from features.definitions.names import utc
from features.definitions.sources import Source
from features.settings import Settings
from jobs import ledger
from jobs.ingest import ingest
from tests.jobs import hostile_days as days
from tests.jobs.shop import DAILY_VIEW, DISPUTES, FEATURES, LIVE_VIEW, PAYMENTS
from tests.oracle import HELD

__all__ = ["DAILY", "LIVE", "close", "home", "raw"]

assert DISPUTES.enriched is not None
BOUGHT = replace(PAYMENTS, name="held_payments", table="held.payments")
DISPUTED = replace(
    DISPUTES, name="held_disputes", table="held.disputes", enriched=replace(DISPUTES.enriched, parent=BOUGHT)
)
DAILY = replace(
    DAILY_VIEW, name="held_daily", source=BOUGHT, outcomes=(DISPUTED,),
    features=(*FEATURES, *cohort_rate(DISPUTED, of="payment", over="2d 5d", delay="1d")),
)  # fmt: skip
LIVE = replace(LIVE_VIEW, name="held_live", source=BOUGHT)
HELD_DAY, RELEASED, RELEASED_LATE = 1, 2, 3
"""Of payments: one day is held for good, one is released within the next day, one later; of disputes the first is released."""
RELEASES: dict[str, dict[int, int | None]] = {
    BOUGHT.name: {
        HELD_DAY: None,
        RELEASED: days.START + 3 * days.DAY + 7,
        RELEASED_LATE: days.START + 4 * days.DAY + 7_200_000_000,
    },
    DISPUTED.name: {2: days.START + 4 * days.DAY},
}


def close(home: Settings, source: Source, ds: str, released: int | None) -> None:
    """Holds a partition, and releases it."""
    found = ledger.partition(home, source.name, ds)
    assert found is not None
    held = ledger.hold(home, found, at=1, reason="a test holds it")
    if released is not None:
        ledger.release(home, held, at=released)


@pytest.fixture(scope="module")
def home(spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("held")})


@pytest.fixture(scope="module")
def raw(
    spark: SparkSession, home: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """Hostile days; the rows of those that are held say when they are known at the earliest."""
    made, landing = days.days(seed=23), tmp_path_factory.mktemp("landing")
    days.write_days(made, landing)
    for source, there in ((BOUGHT, PAYMENTS), (DISPUTED, DISPUTES)):
        ingest(spark, home, source, str(landing / there.name))
    made = days.with_parents(made)
    known = {BOUGHT.name: made[PAYMENTS.name], DISPUTED.name: made[DISPUTES.name]}
    for source in (BOUGHT, DISPUTED):
        for day, released in RELEASES[source.name].items():
            close(home, source, str(utc(days.START + day * days.DAY).date()), released)
            for row in known[source.name]:
                if (row["known"] - days.START) // days.DAY == day:
                    row["asof_released"] = HELD if released is None else released
    assert any(math.isinf(row.get("asof_released", 0)) for row in known[BOUGHT.name])
    return known
