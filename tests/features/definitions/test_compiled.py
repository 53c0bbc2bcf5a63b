"""Compiled definitions: the round trip, and a hash that changes with values and with nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features
from features import Field, Schedule, Source, Window, col, lit
from features.definitions import names
from features.definitions.compiled import canonical, compile_definition, hash_of, load_definition
from features.definitions.expressions import case
from features.definitions.features import Aggregate
from features.definitions.views import FeatureView
from tests.strategies import NO_HEALTH_CHECK, attribute_views, event_views

SOME = settings(max_examples=60, suppress_health_check=NO_HEALTH_CHECK)
views = st.one_of(event_views(), attribute_views()).map(lambda drawn: drawn[0])


def text(definition: object) -> str:
    return json.dumps(compile_definition(definition), sort_keys=True)


@SOME
@given(views)
def test_a_view_comes_back_from_its_json(view: FeatureView) -> None:
    back = load_definition(json.loads(text(view)), FeatureView)
    assert (text(back), hash_of(back)) == (text(view), hash_of(view))
    assert (back.types, back.freshness, back.entity) == (view.types, view.freshness, view.entity)


@SOME
@given(views)
def test_who_owns_and_describes_a_view_does_not_change_its_hash(view: FeatureView) -> None:
    told = replace(
        view, owner="risk", description="what it is", tags=(("team", "risk"),), where="elsewhere:1",
        source=replace(view.source, owner="data", description="where from", where="elsewhere:2"), entity=replace(view.entity, description="who"),
        features=tuple(replace(feature, description="a feature") for feature in view.features),
    )  # fmt: skip
    assert hash_of(told) == hash_of(view)
    assert text(told) != text(view)


CHANGES: dict[str, Callable[[FeatureView], FeatureView]] = {
    "name": lambda view: replace(view, name="other"),
    "remember": lambda view: replace(view, remember="9d"),
    "horizon": lambda view: replace(view, horizon="9d"),
    "freshness": lambda view: replace(view, freshness=Schedule(period="5s", publish_lag="1s")),
    "lag": lambda view: replace(view, source=replace(view.source, lag="9s")),
    "filter": lambda view: replace(view, source=replace(view.source, filter=col("n") > 11)),
    "known_at": lambda view: replace(view, source=replace(view.source, known_at="w")),
    "event_time": lambda view: replace(view, source=replace(view.source, event_time="w")),
    "table": lambda view: replace(view, source=replace(view.source, table="raw.other")),
    "scale": lambda view: replace(
        view, source=replace(view.source, columns=(*view.source.columns, Field(name="m", type="float64", scale=2)))
    ),
    "keys": lambda view: replace(view, source=replace(view.source, keys=(("e", view.entity.keys), ("other", ("c",))))),
    "a feature less": lambda view: replace(view, features=view.features[:-1]),
    "order": lambda view: replace(view, features=(view.features[1], view.features[0], *view.features[2:])),
}


@settings(SOME, max_examples=10)
@given(views)
@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_a_value_changes_the_hash(what: str, view: FeatureView) -> None:
    assert hash_of(CHANGES[what](view)) != hash_of(view)


BASE = Aggregate(name="a", operation="distinct", window=Window("7d"), column="c", limit=5)


@pytest.mark.parametrize("other", [
    replace(BASE, operation="first"), replace(BASE, window=Window("8d")), replace(BASE, window=Window("7d", "1d")), replace(BASE, window=Window("7d", step="exact")),
    replace(BASE, column="d"), replace(BASE, limit=6), replace(BASE, name="b"), replace(BASE, where=col("n") > 1), replace(BASE, where=col("n") > 1.0),
    replace(BASE, where=col("b") == True), replace(BASE, where=col("b") == 1), replace(BASE, where=col("b") == None),  # noqa: E711, E712
])  # fmt: skip
def test_each_part_of_an_aggregate_speaks(other: Aggregate) -> None:
    hashes = {hash_of(other), hash_of(BASE)}
    assert len(hashes) == 2


def test_true_one_and_one_point_nought_are_three_values() -> None:
    assert len({hash_of(col("x") == value) for value in (True, 1, 1.0, "1", None)}) == 5


@pytest.mark.parametrize(
    "node",
    [col("x").isin(), case(otherwise=None), lit(None), lit(""), lit(0), lit(False), case((col("b"), 1), otherwise=2.5)],
)
def test_empty_and_null_parts_of_expressions_come_back(node: Any) -> None:
    assert repr(load_definition(json.loads(text(node)), type(node))) == repr(node)


def test_a_hash_that_must_not_move() -> None:
    """Hashes are in tables and manifests: a changed canonical form needs a decision."""
    assert canonical(BASE) == (
        '{"_":"Aggregate","column":"c","limit":5,"name":"a","operation":"distinct","window":{"_":"Window","length":"7d","offset":"0"}}'
    )
    assert len(hash_of(BASE)) == 16


def test_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"The compiled definition is of Aggregate, not of Source\."):
        load_definition(compile_definition(BASE), Source)


@settings(SOME, max_examples=5)
@given(views)
def test_definitions_are_frozen(view: FeatureView) -> None:
    for thing, name in (
        (view, "name"),
        (view.source, "lag"),
        (view.entity, "keys"),
        (view.features[0], "name"),
        (Schedule(), "period"),
        (Window("7d"), "step"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, name, "x")


def test_the_authoring_api_is_what_all_says() -> None:
    public = {
        name for name, value in vars(features).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(features.__all__)
    assert features.__all__ == sorted(
        features.__all__, key=lambda name: (name[0].islower() or name[1].islower(), name[0].islower(), name)
    )


def test_definitions_are_the_standard_library_and_load_quickly() -> None:
    code = (
        "import sys, time; t = time.process_time(); import features; spent = time.process_time() - t; "
        "print(spent, sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'pyarrow', 'numba', 'pandas', 'pydantic', 'pyspark', 'feast'}))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
            maxsplit=1
        )
        for _ in range(3)
    ]
    assert {heavy.strip() for _, heavy in runs} == {"[]"}
    assert min(float(spent) for spent, _ in runs) < 0.3


@given(st.integers(-(10**15), 4 * 10**15).map(lambda minute: minute // 60_000_000 * 60_000_000))
def test_the_text_of_a_cut_reads_back(cut: int) -> None:
    assert names.parse_cut(names.cut_text(cut)) == cut
    assert names.micros(names.utc(cut + 1)) == cut + 1


@given(st.datetimes(timezones=st.timezones()))
def test_microseconds_are_exact(instant: datetime) -> None:
    assert names.micros(instant) == (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_names() -> None:
    source = Source(name="s", table="raw.s", columns=features.fields("timestamp", "event_time"))
    assert (names.view_table("v"), names.status_column("v"), names.database_of(source)) == (
        "features.v",
        "v__asof_status",
        "raw",
    )
    assert (names.quarantine_of(source), names.waiting_of(source)) == ("raw.s__quarantine", "raw.s__waiting")
    assert names.cut_text(-60_000_000) == "1969-12-31T23-59Z"
