"""Answers are what Feast's words say of each feature by itself, whatever stands beside the values of others."""

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.names import utc
from features.serving.feast_answers import Answers, Described
from features.serving.feast_http import Asked
from features.serving.reader import Result
from features.serving.served import Selected, Status, ViewColumns
from features.store.columns import OneRow

LAG = 3_600_000_000
WORDS: dict[Status, str] = {
    "ok": "PRESENT", "overflow": "PRESENT", "never_seen": "NOT_FOUND", "no_key": "NOT_FOUND", "stale": "OUTSIDE_MAX_AGE",
    "damaged": "INVALID",
}  # fmt: skip
CELLS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.booleans()
    | st.text(max_size=5)
    | st.sampled_from(["],[", '"', "null", "[null]", "null]", ","])
)
PLAIN = st.integers(-99, 99) | st.floats(-9, 9)


def text(instant: int) -> str:
    return utc(instant).isoformat().replace("+00:00", "Z")


@st.composite
def results(draw: st.DrawFn) -> Result:
    rows = draw(st.sampled_from([1, 1, 2, 17]))
    cells, views = (
        draw(st.sampled_from([CELLS, PLAIN, st.none() | PLAIN, st.none() | PLAIN | st.just("[null]")])),
        list[ViewColumns](),
    )
    for n in range(draw(st.integers(1, 4))):
        names = tuple(f"f{m}" for m in range(draw(st.integers(0, 3))))
        columns = {name: tuple(draw(st.lists(cells, min_size=rows, max_size=rows))) for name in names}
        statuses: list[Status] = draw(st.lists(st.sampled_from(sorted(WORDS)), min_size=rows, max_size=rows))
        if draw(st.booleans()):
            statuses = ["ok"] * rows
        cuts = draw(st.sampled_from([[0] * rows, [LAG] * rows]))
        alone = rows == 1 and draw(st.booleans())
        values = OneRow(names, tuple(cell for (cell,) in columns.values())) if alone else columns
        views.append(ViewColumns(f"v{n}", values, statuses, cuts, [0] * rows))
    selected = Selected(tuple((view.view, tuple(view.values)) for view in views))
    keys = tuple({"k": row} for row in range(rows))
    return Result(service="", at=5, keys=keys, views=tuple(views), selected=selected)


def meant(result: Result) -> dict[str, Any]:
    rows = len(result.keys)
    columns = [{"values": list(range(rows)), "statuses": ["PRESENT"] * rows, "event_timestamps": [text(0)] * rows}]
    for view in result.views:
        for values in view.values.values():
            told = [
                "NULL_VALUE" if value is None and WORDS[status] == "PRESENT" else WORDS[status]
                for value, status in zip(values, view.statuses, strict=True)
            ]
            times = [
                text(0 if WORDS[status] == "NOT_FOUND" else cut + LAG)
                for status, cut in zip(view.statuses, view.cuts, strict=True)
            ]
            columns.append({"values": [_json(value) for value in values], "statuses": told, "event_timestamps": times})
    names = ["k", *(f"{view.view}__{name}" for view in result.views for name in view.values)]
    views = {
        view.view: {"definition": f"of {view.view}", "cut": text(view.cuts[0]), "statuses": list(view.statuses)}
        for view in result.views
    }
    return {"metadata": {"feature_names": names, "asof": {"at": text(5), "views": views}}, "results": columns}


def _json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@settings(max_examples=300)
@given(st.lists(results(), min_size=1, max_size=3))
def test_an_answer_says_of_each_feature_what_is_true_of_it(some: list[Result]) -> None:
    answers = Answers({f"v{n}": Described(f"of v{n}", LAG) for n in range(4)})
    for result in [*some, *some]:
        asked = Asked(entities={"k": list(range(len(result.keys)))}, full_feature_names=True)
        assert json.loads(answers.write(result, asked)) == meant(result)
