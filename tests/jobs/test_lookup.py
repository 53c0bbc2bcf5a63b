"""`asof lookup` prints value, status and age, as a table or as JSON, without Spark or Feast."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features import load_catalog
from features.definitions.names import micros
from features.errors import InputError, MissingError
from features.settings import Settings, load
from features.store.heads import Layout
from features.store.sqlite_store import SqliteStore
from jobs import lookup
from jobs.commands import Lookup

CATALOG = load_catalog("tests.jobs.catalogue_of_loads")
VIEWS = {view.name: view for view in CATALOG.views}
CUT = datetime(2026, 3, 2, tzinfo=UTC)
KEY = (("load_card", "c1"), ("load_shop", "s=1"))


@pytest.fixture
def loaded(tmp_path: Path) -> Settings:
    """Two views of one cut; the clock is a day and two hours after it."""
    settings = load(
        home=tmp_path, catalog="tests.jobs.catalogue_of_loads", clock=(CUT + timedelta(hours=26, minutes=3)).isoformat()
    )
    store, now = SqliteStore(settings.online_db), micros(CUT + timedelta(hours=2))
    keys = {"load_card": ["c1"], "load_shop": ["s=1"], "asof_status": ["ok"]}
    habits = pa.RecordBatch.from_pydict(
        {**keys, "count_7d": pa.array([3], pa.int64()), "mean_amount_7d": pa.array([0.1 + 0.2])}
    )
    opened = pa.array([datetime(2020, 2, 29, 1, 2, 3, 4, UTC)], pa.timestamp("us", tz="UTC"))
    profile = pa.RecordBatch.from_pydict({**keys, "opened": opened, "risky": pa.array([None], pa.bool_())})
    for name, batch in (("load_habits", habits), ("load_profile", profile)):
        store.load(Layout.of(VIEWS[name], micros(CUT)), [batch], now)
    store.close()
    return settings


def test_json_holds_value_status_age_and_cut_of_each_feature(
    loaded: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lookup.run(Lookup(service="loaded", keys=KEY, output="json"), loaded) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["service"], found["at"], found["key"]) == (
        "loaded",
        "2026-03-03T02:03:00+00:00",
        {"load_card": "c1", "load_shop": "s=1"},
    )
    same = {"status": "ok", "age_us": 93_780_000_000, "cut": "2026-03-02T00-00Z"}
    assert found["features"] == [
        {"view": "load_habits", "feature": "count_7d", "value": 3, **same},
        {"view": "load_habits", "feature": "mean_amount_7d", "value": 0.30000000000000004, **same},
        {"view": "load_profile", "feature": "opened", "value": 1_582_938_123_000_004, **same},
        {"view": "load_profile", "feature": "risky", "value": None, **same},
    ]


def test_the_table_is_for_people(
    loaded: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    lookup.run(Lookup(service="loaded", keys=KEY), loaded)
    lines = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert "load_habits__count_7d 3 ok 1d 02:03:00" in lines
    assert "load_profile__opened 2020-02-29T01:02:03.000004+00:00 ok 1d 02:03:00" in lines
    assert "load_profile__risky null ok 1d 02:03:00" in lines


def test_an_instant_is_taken_and_an_earlier_one_refused(loaded: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    lookup.run(Lookup(service="loaded", keys=KEY, at=CUT + timedelta(days=9), output="json"), loaded)
    assert {feature["status"] for feature in json.loads(capsys.readouterr().out)["features"]} == {"stale"}
    with pytest.raises(InputError, match="use `asof frame`, which gives the values of any instant"):
        lookup.run(Lookup(service="loaded", keys=KEY, at=CUT), loaded)


def test_a_column_twice_is_refused(loaded: Settings) -> None:
    with pytest.raises(InputError, match=r"The key gives load_card twice\. Give each column once\."):
        lookup.run(Lookup(service="loaded", keys=(*KEY, ("load_card", "c2"))), loaded)


def test_nothing_loaded_names_the_command(tmp_path: Path) -> None:
    settings = load(home=tmp_path, catalog="tests.jobs.catalogue_of_loads")
    with pytest.raises(MissingError, match=r"holds no values of view 'load_habits'\. Run `asof materialize"):
        lookup.run(Lookup(service="loaded", keys=KEY), settings)
    assert not settings.online_db.exists()


def test_it_needs_neither_spark_nor_feast() -> None:
    script = "import sys, jobs.lookup; print(sorted({'feast', 'pyspark', 'pandas', 'great_expectations', 'airflow'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
