"""Cases worked out by hand: a folder each, with the rows as CSV and, in case.json, the view, the reasoning and the values."""

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from features.definitions.expressions import ColumnType
from features.definitions.names import micros
from features.definitions.sources import Source
from tests import oracle
from tests.engine import answers
from tests.golden.views import VIEWS

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/case.json"))


def rows(source: Source, folder: Path) -> list[dict[str, Any]]:
    """The source's CSV; an empty field is null."""
    with (folder / f"{source.name}.csv").open(encoding="utf-8", newline="") as file:
        return [{name: parsed(source.types[name], text) for name, text in row.items()} for row in csv.DictReader(file)]


def parsed(kind: ColumnType, text: str) -> Any:
    if text == "":
        return None
    match kind:
        case "timestamp":
            return micros(datetime.fromisoformat(text))
        case "int64":
            return int(text)
        case "bool":
            return {"true": True, "false": False}[text]
        case _:
            return text


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_engine_and_oracle_give_the_values_worked_out_by_hand(folder: Path) -> None:
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    view = VIEWS[case["view"]]
    raw = {source.name: rows(source, folder) for source in view.sources if (folder / f"{source.name}.csv").exists()}
    raw |= {source.name: [] for source in view.outcomes if source.name not in raw}
    asks = [(tuple(ask["key"]), parsed("timestamp", ask["at"])) for ask in case["asks"]]
    for ask, got, (key, t) in zip(case["asks"], answers(view, raw, asks), asks, strict=True):
        assert (got.values, got.status) == (ask["values"], ask["status"]), ask
        assert oracle.answer(view, raw, key, t) == oracle.Answer(ask["values"], ask["status"]), ask


def test_there_are_cases_of_every_view() -> None:
    assert len(CASES) >= 6
    assert {json.loads((folder / "case.json").read_text(encoding="utf-8"))["view"] for folder in CASES} == set(VIEWS)
