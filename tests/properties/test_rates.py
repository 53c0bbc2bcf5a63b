"""Rates whose outcome comes late against the oracle, which looks at the raw history of all keys: instants on the edges of days, cuts and ages."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions.delayed import arrival_rate, cohort_rate, lag_corrected_rate
from features.definitions.entities import Entity
from features.definitions.expressions import col
from features.definitions.freshness import Schedule
from features.definitions.sources import Field, Source, fields
from features.definitions.views import FeatureView, flat
from tests.properties.agreement import differences
from tests.strategies import DAY, NO_HEALTH_CHECK, Case

HOUR = DAY // 24
KEYS = ("x", "y", "z")
PAYMENTS = Source(
    name="p", table="raw.p", event_id="id", void="v", known_at="known",
    columns=(*fields("string", "id k"), *fields("int64", "n"), Field(name="v", type="bool"), *fields("timestamp", "event_time known")),
)  # fmt: skip
FRAUDS = Source(
    name="f", table="raw.f", event_id="fid", void="v", known_at="known", keys=(("e", ("of_k",)),),
    columns=(*fields("string", "fid id of_k"), Field(name="v", type="bool"), *fields("timestamp", "event_time known")),
)  # fmt: skip


@st.composite
def views(draw: st.DrawFn) -> FeatureView:
    eligible = draw(st.sampled_from([None, col("n") > 0]))
    outcomes = FRAUDS.derive("f", lag="1d") if draw(st.integers(0, 3)) == 0 else FRAUDS
    step = draw(st.sampled_from(["exact", "1d"]))
    common: dict[str, Any] = {"of": "id", "eligible": eligible, "step": step}
    mature = draw(st.sampled_from(["1d", "2d", "2d", "4d"]))
    corrected = {**common, "mature": mature, "least": draw(st.sampled_from([0.01, 0.5, 1.0]))}
    m = draw(st.sampled_from([0.5, 1, 20]))
    return FeatureView(
        name="v", entity=Entity(name="e", keys=("k",)), source=PAYMENTS, outcomes=(outcomes,), remember="6d",
        freshness=draw(st.sampled_from([Schedule(), Schedule(period="12h", phase="6h", publish_lag="0"), Schedule(publish_lag="12h")])),
        features=flat((
            cohort_rate(outcomes, over="2d", delay="1d", smoothed=m, **common),
            arrival_rate(outcomes, over="1d 3d", **common), arrival_rate(outcomes, over="2d", smoothed=m, **common),
            lag_corrected_rate(outcomes, over="2d 5d", **corrected), lag_corrected_rate(outcomes, over="3d", smoothed=m, **corrected),
        )),
    )  # fmt: skip


def instants(low: int, high: int) -> st.SearchStrategy[int]:
    return st.builds(
        lambda hours, beside: 6 * hours * HOUR + beside,
        st.integers(4 * low, 4 * high),
        st.sampled_from([0, 0, 0, -1, 1]),
    )


@st.composite
def late_cases(draw: st.DrawFn) -> Case:
    """Payments and frauds of a few keys: told before they are known, taken back, told twice, corrected, of another key."""
    view = draw(views())
    payments: list[dict[str, Any]] = []
    for n in range(draw(st.integers(4, 10))):
        when = draw(instants(0, 5))
        row = {
            "id": f"p{n}", "k": draw(st.sampled_from(KEYS)), "n": draw(st.sampled_from([1, 1, 1, 0, None])), "v": False,
            "event_time": when, "known": when + draw(st.sampled_from([0, 0, HOUR, DAY])),
        }  # fmt: skip
        payments += [row, *draw(replacements(row))]
    frauds: list[dict[str, Any]] = []
    for n in range(draw(st.integers(4, 10))):
        of = draw(st.sampled_from(payments))
        told = (
            of["event_time"]
            + draw(st.sampled_from([-1, 0, 0, 1, 1, 2, 2, 3, 4, 5])) * DAY
            + draw(st.sampled_from([0, 0, -1, 1, 6 * HOUR]))
        )
        row = {
            "fid": f"f{n}", "id": of["id"], "of_k": draw(st.sampled_from([of["k"]] * 5 + [*KEYS, None])), "v": False,
            "event_time": told, "known": told,
        }  # fmt: skip
        frauds += [row, *draw(replacements(row))]
    at = st.one_of(
        instants(3, 8), instants(3, 8), instants(1, 14)
    )  # most where windows have events and outcomes are told
    asks = draw(st.lists(st.tuples(st.tuples(st.sampled_from(KEYS)), at), min_size=3, max_size=6))
    return Case(view=view, raw={"p": payments, "f": frauds}, asks=asks, batches=draw(st.integers(1, 2)))


@st.composite
def replacements(draw: st.DrawFn, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Mostly nothing; else the row voided, or corrected, at once or days later."""
    kind = draw(st.sampled_from(["none"] * 6 + ["void", "correction", "void and back"]))
    known = row["known"] + draw(st.sampled_from([1, HOUR, DAY, 2 * DAY]))
    if kind == "none":
        return []
    if kind == "correction":
        return [{**row, "known": known, "event_time": row["event_time"] + draw(st.sampled_from([0, HOUR]))}]
    return [{**row, "v": True, "known": known}, *([{**row, "known": known + DAY}] if kind == "void and back" else [])]


@settings(max_examples=40, suppress_health_check=NO_HEALTH_CHECK)
@given(late_cases())
def test_late_rates_are_the_oracles(case: Case) -> None:
    assert differences(case) == []
