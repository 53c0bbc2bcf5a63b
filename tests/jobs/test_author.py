"""An author's own aggregation, one new file beside the others, on every path: frame, published table, lookup, tiles. The engine is not touched."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.names import micros

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).parents[2]
AGGREGATION = '''
"""The second largest value."""

from features.definitions.aggregations.aggregation import NUMBERS, Aggregation, Ends, State

__all__ = ["SECOND"]


def width(kinds: int) -> int:
    return 3


def zero(state: list[float]) -> None:
    state[0] = state[1] = state[2] = 0.0


def add(state: list[float], time: int, value: float) -> None:
    if state[0] == 0.0 or value >= state[1]:
        state[1], state[2] = value, state[1]
    elif state[0] == 1.0 or value > state[2]:
        state[2] = value
    state[0] += 1.0


def merge(state: list[float], later: list[float]) -> None:
    rows = state[0] + later[0]
    for place in range(1, 1 + min(int(later[0]), 2)):
        add(state, 0, later[place])
    state[0] = rows


def finish(state: list[float], ends: Ends) -> tuple[float, bool]:
    return state[2], state[0] >= 2.0


_STATE = State(words="float64", width=width, zero=zero, add=add, merge=merge, finish=finish)
SECOND = Aggregation(
    name="second", says="The second largest value.", takes=(NUMBERS,), gives="float64", empty="null", nulls="null below two values", state=_STATE, tiles=_STATE,
)
'''
CATALOGUE = """
from features import Entity, FeatureService, FeatureView, Source, aggregate, fields, flat

CARD = Entity(name="authored_card", keys=("card",))
SALES = Source(
    name="authored_sales", table="authored.sales", event_id="id", known_at="known",
    columns=(*fields("string", "id card"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
)
HABITS = FeatureView(
    name="authored_habits", entity=CARD, source=SALES, features=flat((aggregate("second", "7d", column="amount"),))
)
SERVICE = FeatureService(name="authored", views=(HABITS,))
"""
STEPS = """
import sys
from features.definitions.catalog import load_catalog
from features.settings import load
from jobs import attempts
from jobs.cli import parse, run

for line in sys.stdin.read().splitlines():
    if line == "pass":
        view = load_catalog("authored").view("authored_habits")
        attempts.finished(load(), view, int(sys.argv[1])).write("verdict", {"verdict": "pass"})
    elif code := run(parse(line.split()), load()):
        sys.exit(code)
"""
CUT = datetime(2026, 3, 2, tzinfo=UTC)
AMOUNTS = {"a": [5, 9, 7], "b": [4], "c": [3, 3], "d": [-2, -8, -5]}
SECOND = {"a": 7.0, "b": None, "c": 3.0, "d": -5.0}


def test_one_file_is_enough(tmp_path: Path) -> None:
    for room in ("features", "expectations", "jobs", "dags"):
        shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "features" / "definitions" / "aggregations" / "second.py").write_text(AGGREGATION)
    (tmp_path / "authored.py").write_text(CATALOGUE)
    at = micros(CUT) - 3_600_000_000
    rows = [(f"{card}{n}", card, amount) for card, amounts in AMOUNTS.items() for n, amount in enumerate(amounts)]
    ids, cards, amounts = (list(column) for column in zip(*rows, strict=True))
    instants = pa.array([at + n for n in range(len(rows))], pa.timestamp("us", "UTC"))
    sales = {"id": ids, "card": cards, "amount": amounts, "event_time": instants, "known": instants}
    pq.write_table(pa.table(sales), tmp_path / "sales.parquet")
    asked = pa.array([CUT.replace(hour=6)] * len(AMOUNTS), pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"card": list(AMOUNTS), "event_timestamp": asked}), tmp_path / "labels.parquet")
    cut = f"--cut {CUT.isoformat()}"
    lines = [
        f"ingest --source authored_sales --input {tmp_path}/sales.parquet --ds 2026-03-01",
        f"frame --service authored --labels {tmp_path}/labels.parquet --out {tmp_path}/frame.parquet",
        *(f"compute {cut}", "pass", "apply", f"publish {cut}", f"materialize {cut}"),
        *(f"lookup --service authored --at 2026-03-02T06:00Z --output json card={card}" for card in AMOUNTS),
        *(f"stats authored_habits --window 7d --at 2026-03-02 --output json{by}" for by in (" --by card", "")),
    ]  # fmt: skip
    said = run(tmp_path, lines)
    frame = pq.read_table(tmp_path / "frame.parquet").to_pylist()
    assert {row["card"]: row["authored_habits__second_amount_7d"] for row in frame} == SECOND
    published = pq.ParquetDataset(sorted((tmp_path / "home").rglob("features/authored_habits/**/*.parquet"))).read()
    assert dict(zip(*(published[name].to_pylist() for name in ("card", "second_amount_7d")), strict=True)) == SECOND
    found = [json.loads(text) for text in re.findall(r"^\{.*?^\}", said, re.MULTILINE | re.DOTALL)]
    looked_up, (by_card, total) = found[: len(AMOUNTS)], found[len(AMOUNTS) :]
    assert [answer["features"][0]["value"] for answer in looked_up] == list(SECOND.values())
    assert {group["card"]: group["second_amount"] for group in by_card["groups"]} == SECOND
    assert [group["second_amount"] for group in total["groups"]] == [7.0]


def run(folder: Path, lines: list[str]) -> str:
    """In the copy, whose packages come first on the path."""
    settings = {
        "ASOF_HOME": str(folder / "home"), "ASOF_CATALOG": "authored", "ASOF_CLOCK": "2026-03-02T07:00:00Z", "ASOF_CONFIG": os.devnull,
        "ASOF_METASTORE__KIND": "embedded", "ASOF_SPARK__MASTER": "local[2]", "ASOF_SPARK__COMPILER": "quick", "ASOF_SPARK__DRIVER_MEMORY": "1g",
        "PYTHONPATH": str(folder),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(micros(CUT))], input="\n".join(lines), env={**os.environ, **settings}, cwd=folder, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
