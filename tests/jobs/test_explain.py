"""`asof explain` says what a view costs and why, without Spark."""

import json
from datetime import UTC, datetime

import pytest

from features.errors import MissingError
from features.settings import Settings
from jobs import attempts, explain, ledger
from jobs.commands import Explain
from tests.jobs.shop import DAILY_VIEW

AT = datetime(2026, 3, 14, 2, tzinfo=UTC)


@pytest.fixture
def home(settings: Settings) -> Settings:
    for name, rows in (("shop_payments", 40_000), ("shop_disputes", 300), ("shop_cards", 20)):
        for day in range(1, 14):
            ledger.record_ingest(
                settings, ledger.Partition(source=name, ds=f"2026-03-{day:02d}", rows=rows, ingested_at=1)
            )
    return settings.model_copy(update={"catalog": "tests.jobs.shop"})


def said(home: Settings, capsys: pytest.CaptureFixture[str], view: str) -> dict[str, object]:
    assert explain.run(Explain(view=view, at=AT, output="json"), home) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_shuffle_is_shared_by_the_views_of_the_entity(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(home, capsys, "shop_daily")
    assert found["cut"] == "2026-03-14T00-00Z"
    shuffle = found["shuffle"]
    assert isinstance(shuffle, dict)
    assert shuffle["with"] == ["shop_live", "shop_record", "shop_disputed"]
    # Payments of ten days and the one before, in which rows may be known early; outcomes and records of all thirteen.
    assert shuffle["rows"] == 11 * 40_000 + 13 * 320
    assert shuffle["chosen"] == "the data's size"
    assert shuffle["worker_bytes"] > 0
    reads = found["reads"]
    assert isinstance(reads, list)
    assert [(read["source"], read["partitions"], read["since"]) for read in reads] == [
        ("shop_payments", 11, "2026-03-04T00:00:00+00:00"),
        ("shop_disputes", 13, None),
    ]


def test_windows_come_with_step_and_overshoot(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(home, capsys, "shop_daily")
    assert found["windows"] == [
        {"window": "1d", "step": "30m", "overshoot_us": 1_799_999_999, "features": 4},
        {"window": "2d_offset_1d", "step": "1h", "overshoot_us": 3_599_999_999, "features": 1},
        {"window": "3d", "step": "1h", "overshoot_us": 3_599_999_999, "features": 4},
        {"window": "5d_offset_1d", "step": "1h", "overshoot_us": 3_599_999_999, "features": 1},
        {"window": "ever", "step": "1d", "overshoot_us": 86_399_999_999, "features": 7},
    ]


def test_a_view_that_follows_a_stream_is_computed_with_the_others(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(home, capsys, "shop_live")
    assert found["freshness"] == "event: counts 1m known; corrections from cuts every 1d on"
    assert str(found["state"]).startswith("at most ")
    assert isinstance(found["shuffle"], dict)
    assert found["shuffle"]["with"] == ["shop_daily", "shop_record", "shop_disputed"]


def test_the_page_for_people(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    attempt = attempts.new_attempt(home, DAILY_VIEW, int(AT.timestamp() * 1e6) - 2 * 3_600_000_000)
    attempts.finish(attempt, {"rows": 1234, "seconds": 5.6, "finished_at": 1.0})
    assert explain.run(Explain(view="shop_daily", at=AT), home) == 0
    text = capsys.readouterr().out
    for part in (
        "features of card (card).",
        "Freshness: cuts every 1d, served 1h later; windows end at the cut. Remembers 10d.",
        "Cut 2026-03-14T00-00Z: one scan, one shuffle and one sweep, together with shop_live, shop_record, shop_disputed.",
        "Shuffled: 444,160 rows, about ",
        "by the data's size; spark.shuffle_partitions sets another number.",
        "Without Spark's tasks where the files read have less than 33.6 MB (spark.few_bytes).",
        "shop_payments: 440,000 rows in 11 partitions (events since 2026-03-04); amount, id, shop, status.",
        "less than 30m",
        "Computed 2026-03-14T00-00Z: 1,234 keys in 5.6 s.",
    ):
        assert part in text, part


def test_an_unknown_view_is_told_with_the_known(home: Settings) -> None:
    with pytest.raises(MissingError, match=r"There is no view 'shop'. Known: shop_daily, shop_disputed, shop_live"):
        explain.run(Explain(view="shop"), home)
