"""Hostile cases: few keys, few ids, instants on the edges of steps, cuts and lags or a microsecond beside them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st

from features.definitions import authoring as make
from features.definitions import behaviour as course
from features.definitions import delayed
from features.definitions.entities import Entity
from features.definitions.expressions import ColumnType, Expression, case, col, lit
from features.definitions.features import Aggregate, Attribute, Difference, Feature, Ratio, Zscore
from features.definitions.freshness import EventFreshness, Freshness, Schedule
from features.definitions.sources import Field, Source, fields
from features.definitions.views import FeatureView, flat
from features.definitions.windows import EVER, Window
from tests.oracle import HELD, landed

__all__ = [
    "DAY",
    "NO_HEALTH_CHECK",
    "SECOND",
    "Case",
    "attribute_cases",
    "attribute_views",
    "cases",
    "conditions",
    "event_cases",
    "event_views",
    "freshnesses",
    "instants",
]

SECOND = 1_000_000
DAY = 86_400 * SECOND
STEP = 5 * SECOND
Row = dict[str, Any]
Key = tuple[Any, ...]

LEAP_DAY, JANUARY_1969 = 1_709_164_800 * SECOND, -365 * DAY
TEXTS = ("p", "q", "", "pq", "ä€😀", "p" * 40, None)
SMALL = (0, 1, 2, -3, 5, 7, 3, None)
INTEGERS = (*SMALL, 2**31, -(2**32) - 1, 2**53 + 1, 2**62, 2**63 - 1, -(2**63))
EXTREMES = (2**63 - 1, -(2**63), 2**62, 1, -1, None)
FLOATS = (0.0, -0.0, 1.5, 2.0, -2.25, 0.1, 1e16, float("nan"), float("inf"), -float("inf"), None)
ZEROS = (0.0, -0.0, 1.5, float("nan"))
KEYS: tuple[tuple[ColumnType, tuple[Key, ...]], ...] = (
    ("string", (("x",), ("y",), ("",), ("ä",), (None,))),
    ("string", (("",), (None,), ("x",))),  # an empty key is a key, and a null one is none
    ("string", (("1", "23"), ("12", "3"), ("", "123"), ("123", ""), ("1", None))),
    ("int64", ((1,), (-(2**63),), (2**63 - 1,), (None,))),
)
WINDOWS = (
    Window("12s", step="exact"), Window("20s", step="5s"), Window("20s", "5s", "5s"), Window("15s", "3s", "exact"), Window("16s", "7s", "15s"),
    Window("48s"), Window("1m", step="15s"), Window("30s", "1us", "1s"), EVER,
)  # fmt: skip
"""All of at least 12 s, so that every freshness takes them."""

NO_HEALTH_CHECK: tuple[HealthCheck, ...] = tuple(HealthCheck)  # pyright: ignore[reportAssignmentType] - its metaclass iterates untyped
"""Hostile cases are large and much is filtered away: on purpose."""

FRESHNESSES: tuple[Freshness, ...] = (
    Schedule(period="10s", publish_lag="3s"), Schedule(period="10s", phase="2s", publish_lag="0"), Schedule(period="5s", publish_lag="0"),
    Schedule(period="15s", phase="5s", publish_lag="10s"), Schedule(period="2s", publish_lag="1s", anchor="ask"),
    Schedule(period="3s", phase="1s", publish_lag="0", anchor="ask"),
    EventFreshness(lag="0", lateness="5s", cuts=Schedule(period="10s", publish_lag="0")),
    EventFreshness(lag="2s", lateness="6s", cuts=Schedule(period="10s", publish_lag="1s")),
    EventFreshness(lag="1us", lateness="0", cuts=Schedule(period="5s", phase="1s", publish_lag="4s")),
    EventFreshness(lag="12s", lateness="1m", cuts=Schedule(period="5s", publish_lag="2s")),
)  # fmt: skip


# Drawn from again and again. Made once: to make, check and label a strategy takes as long as to draw from it. What rows decide is made where it is
# drawn, so that labels, by which Hypothesis exchanges parts of a case, are those by which wrong engines are known to be told.
_SECONDS, _BESIDE = st.sampled_from([0, 0, 0, 1, 2, 3]), st.sampled_from([0, 0, -1, 1])
_DAYS_BEFORE = st.sampled_from([0] * 18 + [DAY, 2 * DAY])
_BASES = st.sampled_from([0, LEAP_DAY, JANUARY_1969])
_INTEGER_POOLS, _FLOAT_POOLS = st.sampled_from([SMALL, INTEGERS, EXTREMES]), st.sampled_from([FLOATS, ZEROS])
_ONE_OF: dict[tuple[Any, ...], st.SearchStrategy[Any]] = {
    pool: st.sampled_from(pool) for pool in (SMALL, INTEGERS, EXTREMES, FLOATS, ZEROS, TEXTS)
}
_BOOLS, _VERSIONS, _ONE_IN_TEN = (
    st.sampled_from([True, False, None]),
    st.sampled_from([0, 0, 1, 2, None]),
    st.integers(0, 9),
)
_ANOTHER = st.sampled_from(["once"] * 5 + ["again", "amount", "key", "time", "void", "version"])
_KNOWN_BESIDE = st.sampled_from([0, 1, SECOND, 4 * SECOND, 5 * SECOND, 10 * SECOND, -1, -5 * SECOND])
_MOVED, _VERSION_ON = st.sampled_from([-STEP, -1, 1, STEP, 2 * STEP]), st.sampled_from([1, 0, -1])
_DAYS_LATE = st.sampled_from([0, 0, 0, 1, 2, 3])
_DISPUTED_AFTER = st.sampled_from([0, 1, SECOND, 5 * SECOND, 10 * SECOND])
_DISPUTE_KNOWN_AFTER = st.sampled_from([0, 0, 1, SECOND, 5 * SECOND])
_OUTCOME_IDS = st.sampled_from("uvwx")
_COLUMNS = st.sampled_from(["event_time", "known"])
_ASKED_AFTER = st.sampled_from([n * SECOND for n in (0, 0, 1, 2, 3, 5, 6, 10, 12, 13, 15, 20, 25, 40, 48)])
_ASKED_BESIDE = st.sampled_from([-1, 0, 0, 1])


@dataclass(frozen=True)
class Case:
    """A view, the versions that arrived for each of its sources, and what is asked."""

    view: FeatureView
    raw: dict[str, list[Row]]
    asks: list[tuple[Key, int]]
    batches: int = 1
    requests: list[Row] | None = None
    """What each ask brings."""


@cache
def freshnesses() -> st.SearchStrategy[Freshness]:
    """Scheduled with several periods, phases and lags, anchored at the cut and the ask, and by event."""
    return st.sampled_from(FRESHNESSES)


@cache
def conditions() -> st.SearchStrategy[Expression | None]:
    """Conditions over the columns of the main source, every kind of node among them."""
    n, c, f, b, when = col("n"), col("c"), col("f"), col("b"), col("event_time")
    return st.sampled_from([
        None, n > 2, ~(c == "p"), c.isin("p", ""), f.is_null() | b, (n + 1) < 5, n * n >= 4, (n / col("ver")) < 2.5, c.startswith("p") & (f != 1.5),
        when.hour() < 12, when.weekday() == 3, case((n < 0, True), (b, lit(None)), otherwise=f > 0), n > 1.5, f.isin(0, 2), n.isin(5, 2**63 - 1),
        ~b | lit(None), n - col("ver") == 1, col("known") > when,
    ])  # fmt: skip


@st.composite
def instants(draw: st.DrawFn, base: int = 0, low: int = -4, high: int = 14) -> int:
    """A multiple of the step or of a second, or a microsecond beside it; now and then a day before."""
    whole = draw(st.integers(low, high)) * STEP + draw(_SECONDS) * SECOND
    return base + whole + draw(_BESIDE) - draw(_DAYS_BEFORE)


def key_fields(kind: ColumnType, keys: tuple[Key, ...], prefix: str = "k") -> tuple[Field, ...]:
    """One column a part of the key."""
    return tuple(Field(name=f"{prefix}{n}", type=kind) for n in range(len(keys[0])))


def values(kind: ColumnType, keys: tuple[Key, ...]) -> tuple[Field, ...]:
    """The columns of every main source."""
    return (*key_fields(kind, keys), *fields("string", "c"), *fields("int64", "n ver"), *fields("float64", "f"), *fields("bool", "b v"),
            *fields("timestamp", "event_time known w"))  # fmt: skip


@st.composite
def event_views(draw: st.DrawFn, *, of_course: bool = False) -> tuple[FeatureView, tuple[Key, ...]]:
    """A view of events, and the keys that it may meet; `of_course`: of aggregations that look at how events follow one another."""
    kind, keys = draw(st.sampled_from(KEYS))
    ids: ColumnType | None = draw(st.sampled_from(["string", "string", "int64", None]))
    source = Source(
        name="s", table="raw.s", columns=(Field(name="id", type=ids or "string"), *values(kind, keys)),
        event_id="id" if ids else None, version=draw(st.sampled_from(["ver", None])) if ids else None, void="v" if ids else None,
        known_at=draw(st.sampled_from(["known", "known", "known", None])), lag=draw(st.sampled_from(["0", "0", "0", "3s", "20s"])),
        filter=draw(st.sampled_from([None, None, None, col("c") != "q", col("n") > 0])),
    )  # fmt: skip
    if draw(st.integers(0, 4)) == 0:
        source = source.derive("s", filter=source.filter, lag=draw(st.sampled_from(["0", "7s"])))
    outcomes = Source(
        name="o", table="raw.o", event_id="oid", void="gone", known_at="known", lag=draw(st.sampled_from(["0", "0", "4s"])),
        keys=(("e", tuple(field.name for field in key_fields(kind, keys, "of"))),),
        columns=(*fields("string", "oid"), Field(name="id", type=ids or "string"), *key_fields(kind, keys, "of"), *fields("bool", "gone"),
                 *fields("timestamp", "event_time known")),
    )  # fmt: skip
    view = FeatureView(
        name="v", entity=Entity(name="e", keys=tuple(field.name for field in key_fields(kind, keys)), type="int64" if kind == "int64" else "string"),
        source=source, outcomes=(outcomes,) if ids else (), features=draw(_courses() if of_course else _features(outcomes if ids else None)), freshness=draw(freshnesses()),
        remember=draw(st.sampled_from(["1d", "2d"])),
    )  # fmt: skip
    return view, keys


@st.composite
def _features(draw: st.DrawFn, outcomes: Source | None) -> tuple[Feature, ...]:
    over = tuple(
        draw(st.lists(st.sampled_from(WINDOWS), min_size=2, max_size=3, unique_by=lambda window: window.label))
    )
    where = draw(conditions())
    groups: list[tuple[Aggregate, ...]] = [
        make.sum_("f", over), make.mean("f", over), make.mean("n", over, where=where, suffix="w"), make.min_("f", over), make.max_("f", over),
        make.max_("n", over, where=where, suffix="w"), make.max_("w", over), make.min_("w", over), make.distinct("c", over, limit=2),
        make.distinct("f", over, where=where, suffix="w"), make.distinct("b", over), make.distinct("f", over), make.first("c", over), make.first("w", over), make.last("n", over),
        make.last("b", over, where=where, suffix="w"), make.last("f", over), make.time_since_first(over),
        make.time_since_last(over, where=where, suffix="w"), make.count(over, where=where, suffix="w"), make.sum_("n", over, where=where, suffix="w"),
    ]  # fmt: skip
    chosen = groups if draw(st.booleans()) else draw(st.lists(st.sampled_from(groups), max_size=5, unique_by=id))
    a, b = over[0].label, over[1].label
    parts: list[Any] = [
        make.count(over), make.sum_("n", over), make.mean("n", over), make.std("n", over), *chosen, make.ratio(f"sum_n_{a}", f"count_{b}"),
        make.difference(f"sum_n_{a}", f"sum_n_{b}"), make.difference(f"mean_n_{a}", f"count_{b}"),
        Zscore(name="z", x=f"count_{a}", mean=f"mean_n_{b}", std=f"std_n_{b}"),
    ]  # fmt: skip
    if outcomes is not None:
        eligible = draw(st.one_of(st.none(), conditions()))
        rate = delayed.cohort_rate(
            outcomes,
            of="id",
            over="12s 40s",
            delay="10s",
            eligible=eligible,
            step=draw(st.sampled_from(["5s", "exact"])),
        )
        parts.append(rate)
    return flat(parts)


@st.composite
def _courses(draw: st.DrawFn) -> tuple[Feature, ...]:
    """Aggregations with functions of their own."""
    over = (draw(st.sampled_from([window for window in WINDOWS if window is not EVER])), EVER)
    where = draw(st.one_of(st.none(), conditions()))
    stepped = tuple(window for window in over if window.step_us > 1)
    groups = [
        course.gap_mean(over), course.gap_cv(over, where=where, suffix="w"), course.gap_cv(over), course.burst(stepped),
        course.burst(stepped, where=where, suffix="w"), course.trend(stepped), course.trend(stepped, where=where, suffix="w"),
        course.pairs("n", over, take="max"), course.pairs("f", over, take="mean", where=where, suffix="w"), course.pairs("n", over, take="mean"),
        course.speed("ver", "ver", over, take="max"), course.speed("ver", "ver", over, take="mean", where=where, suffix="w"),
        course.runs(over, of=col("n") > 1, then=col("b"), at_least=2), course.runs(over, of=col("c") == "p", then=col("n") > 2, at_least=1, suffix="p"),
        course.decayed_count("5s"), course.decayed_sum("n", "20s", over=over[:1]) if over[0] != EVER else (), course.decayed_mean("f", "1s"),
        course.decayed_mean("n", "5s", where=where, suffix="w"), course.count_by("c", over, categories=("p", "q")), course.entropy("c", over), course.last_k("c", over, k=2), course.last_k("f", over, k=1, where=where, suffix="w"),
        course.quantile("n", over, percent=50, accuracy=0.1), course.quantile("f", over, percent=90, accuracy=0.05, where=where, suffix="w"), course.entropy("n", over, where=where, suffix="w"),
        course.distinct_sketch("c", over, precision=4), course.distinct_sketch("f", over, precision=5, where=where, suffix="w"),
        course.top_k("c", over, k=2), course.top_k("f", over, k=2), course.top_k("b", over, k=1), course.top_k("w", over, k=1, where=where, suffix="w"),
    ]  # fmt: skip
    chosen = draw(
        st.lists(st.sampled_from([group for group in groups if group]), min_size=6, max_size=12, unique_by=id)
    )
    return flat((make.count(over), *chosen))


@st.composite
def _row(
    draw: st.DrawFn, base: int, keys: tuple[Key, ...], numbers: tuple[int | None, ...], floats: tuple[float | None, ...]
) -> Row:
    when = draw(instants(base))
    known = draw(
        st.sampled_from(
            [
                when,
                when,
                when + 1,
                when + SECOND,
                when + 5 * SECOND,
                when + 6 * SECOND,
                when + 20 * SECOND,
                when - SECOND,
            ]
        )
    )
    return {
        **{f"k{n}": part for n, part in enumerate(draw(st.sampled_from((*keys[:1] * 7, *keys))))},
        "c": draw(_ONE_OF[TEXTS]), "n": draw(_ONE_OF[numbers]), "ver": draw(_VERSIONS),
        "f": draw(_ONE_OF[floats]), "b": draw(_BOOLS), "v": draw(_ONE_IN_TEN) == 0,
        "event_time": when, "known": known, "w": draw(st.sampled_from([when, base, None])),
    }  # fmt: skip


@st.composite
def _versions(draw: st.DrawFn, row: Row, keys: tuple[Key, ...], prefix: str) -> list[Row]:
    """The row, and perhaps another version of it: the same again, corrected, of another key or time, void, in or out of order."""
    kind = draw(_ANOTHER)
    if kind == "once":
        return [row]
    known = row["known"] + draw(_KNOWN_BESIDE)
    other = {**row, "known": known}
    if kind == "amount":
        other |= {"n": draw(_ONE_OF[SMALL]), "f": draw(_ONE_OF[FLOATS])}
    elif kind == "key":
        other |= {f"{prefix}{n}": part for n, part in enumerate(draw(st.sampled_from(keys)))}
    elif kind == "time":
        other["event_time"] = row["event_time"] + draw(_MOVED)
    elif kind == "void":
        other |= {"v": True, "gone": True}
    else:
        other["ver"] = (row.get("ver") or 0) + draw(_VERSION_ON)
    return [row, other]


@st.composite
def event_cases(draw: st.DrawFn, *, of_course: bool = False, late: bool = False, held: bool = False) -> Case:
    """Events and outcomes with all that section 7 of the semantics asks of a sweep.

    `late`: some rows lie in the folder of a later day than that of their known_at; `held`: some of what arrived together is held, or released.
    """
    view, keys = draw(event_views(of_course=of_course))
    base = draw(_BASES)
    pools = draw(_INTEGER_POOLS), draw(_FLOAT_POOLS)
    ids = ("a", "b", "c", "d", "é", "") if view.source.types["id"] == "string" else (1, 2, 9, 10, -(2**63), 2**63 - 1)
    crowd = draw(st.lists(instants(base), min_size=1, max_size=2)) if draw(st.integers(0, 3)) == 0 else []
    rows: list[Row] = []
    for row in draw(st.lists(_row(base, keys, *pools), min_size=3, max_size=10)):
        if crowd:  # many events of one instant
            when = draw(st.sampled_from(crowd))
            row |= {"event_time": when, "known": row["known"] - row["event_time"] + when}
        rows += draw(_versions({**row, "id": draw(st.sampled_from(ids))}, keys, "k"))
    raw = {"s": rows}
    if view.outcomes:
        raw["o"] = draw(_outcomes(rows, keys))
    if late:
        raw = {source.name: draw(_landed(source, raw[source.name])) for source in view.sources}
    if held:
        raw = {source.name: draw(_held(source, raw[source.name])) for source in view.sources}
    return Case(view=view, raw=raw, asks=draw(_asks(base, keys, rows)), batches=draw(st.integers(1, 3)))


@st.composite
def _landed(draw: st.DrawFn, source: Source, rows: list[Row]) -> list[Row]:
    """A day is a span of five seconds here; about half of the rows lie in a folder one to three of them late."""
    name = source.known_at or source.event_time
    late = [draw(_DAYS_LATE) for _ in rows]
    return [
        {**row, "asof_landed": (row[name] // STEP + n) * STEP} if n else row for row, n in zip(rows, late, strict=True)
    ]


@st.composite
def _held(draw: st.DrawFn, source: Source, rows: list[Row]) -> list[Row]:
    """Of all that arrived within some spans of five seconds, when it was released, or that it is held."""
    spans = sorted({landed(source, row) // STEP for row in rows})
    shut = draw(st.lists(st.sampled_from(spans), max_size=3, unique=True)) if spans else []
    delays = st.sampled_from([HELD, HELD, 0, 1, SECOND, STEP, 2 * STEP, 20 * SECOND])
    released = {span: (span + 1) * STEP + draw(delays) for span in shut}
    return [
        {**row, "asof_released": released[at]} if (at := landed(source, row) // STEP) in released else row
        for row in rows
    ]


@st.composite
def _outcomes(draw: st.DrawFn, rows: list[Row], keys: tuple[Key, ...]) -> list[Row]:
    """Disputes of the events, a few of them with another key or taken back."""
    made: list[Row] = []
    for row in draw(st.lists(st.sampled_from(rows), max_size=5)):
        key = draw(st.sampled_from([tuple(row[f"k{n}"] for n in range(len(keys[0])))] * 4 + [keys[0]]))
        when = row["event_time"] + draw(_DISPUTED_AFTER)
        outcome = {
            **{f"of{n}": part for n, part in enumerate(key)}, "oid": draw(_OUTCOME_IDS), "id": row["id"], "gone": draw(_ONE_IN_TEN) == 0,
            "event_time": when, "known": when + draw(_DISPUTE_KNOWN_AFTER),
        }  # fmt: skip
        made += draw(_versions(outcome, keys, "of"))
    return made


@st.composite
def _asks(draw: st.DrawFn, base: int, keys: tuple[Key, ...], rows: list[Row]) -> list[tuple[Key, int]]:
    """On edges of the grid, and of what the rows make: their own instants, and those plus a lag or a window."""
    of_row = st.builds(
        lambda row, name, by, beside: row[name] + by + beside,
        st.sampled_from(rows),
        _COLUMNS,
        _ASKED_AFTER,
        _ASKED_BESIDE,
    )
    known = [key for key in (*keys[:1] * 7, *keys) if None not in key]
    return draw(
        st.lists(st.tuples(st.sampled_from(known), st.one_of(instants(base, 1, 18), of_row)), min_size=3, max_size=8)
    )


@st.composite
def attribute_views(draw: st.DrawFn) -> tuple[FeatureView, tuple[Key, ...]]:
    """A view of changes, and the keys that it may meet."""
    kind, keys = draw(st.sampled_from(KEYS))
    source = Source(
        name="s", table="raw.s", kind="changes", columns=values(kind, keys), deleted=draw(st.sampled_from(["v", None])),
        known_at=draw(st.sampled_from(["known", "known", None])), lag=draw(st.sampled_from(["0", "0", "3s"])),
        filter=draw(st.sampled_from([None, None, col("c") != "q"])),
    )  # fmt: skip
    ttl = draw(st.sampled_from([None, "0", "5s", "10s"]))
    parts = [
        Attribute(name=name, column=name, ttl=draw(st.sampled_from([None, ttl])))
        for name in ("c", "n", "ver", "f", "b", "w")
    ]
    view = FeatureView(
        name="v", entity=Entity(name="e", keys=tuple(field.name for field in key_fields(kind, keys)), type="int64" if kind == "int64" else "string"),
        source=source, freshness=draw(freshnesses()),
        features=(*parts, Ratio(name="r", numerator="n", denominator="ver"), Difference(name="d", minuend="n", subtrahend="ver")),
    )  # fmt: skip
    return view, keys


@st.composite
def attribute_cases(draw: st.DrawFn, *, held: bool = False) -> Case:
    """Changes that arrive late, twice, and out of order, with deletions; `held` as for events."""
    view, keys = draw(attribute_views())
    base = draw(_BASES)
    rows: list[Row] = []
    for row in draw(st.lists(_row(base, keys, draw(_INTEGER_POOLS), FLOATS), min_size=3, max_size=10)):
        rows += draw(_versions(row, keys, "k"))
    if held:
        rows = draw(_held(view.source, rows))
    return Case(view=view, raw={"s": rows}, asks=draw(_asks(base, keys, rows)), batches=draw(st.integers(1, 3)))


def cases() -> st.SearchStrategy[Case]:
    """Mostly events, some changes."""
    return st.one_of(event_cases(), event_cases(), event_cases(), attribute_cases())
