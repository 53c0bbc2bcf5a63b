"""Every reason for which a raw row is set aside, and what a value becomes that fits."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import col, likeness
from features.definitions.sources import Field, Source, fields
from features.values.fit import Fitted, fit, fitted_schema

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = pa.timestamp("us", "UTC")


def source(column: Field | None = None, **more: Any) -> Source:
    own = () if column is None else (column,)
    return Source(name="fits", table="fits.rows", columns=(*own, *fields("timestamp", "event_time")), **more)


def tried(column: Field, values: "pa.Array | list[Any]") -> Fitted:
    made = values if isinstance(values, pa.Array) else pa.array(values)
    return fit(source(column), pa.table({column.name: made, "event_time": pa.array([NOON] * len(made), AT)}))


def values(column: Field, given: "pa.Array | list[Any]") -> list[Any]:
    found = tried(column, given)
    assert found.reasons == {}
    return list(found.rows[column.name].to_pylist())


def test_good_rows_come_in_the_declared_types_with_known_at() -> None:
    here = source(Field(name="amount", type="float64", scale=2), lag="1h")
    found = fit(
        here, pa.table({"amount": ["12.34", ""], "event_time": ["2026-03-02T12:00:00Z", "2026-03-02T13:00:00+01:00"]})
    )
    assert found.rows.schema == fitted_schema(here)
    assert found.rows.to_pylist() == [
        {"amount": 1234, "event_time": NOON, "asof_known_at": NOON.replace(hour=13)},
        {"amount": None, "event_time": NOON, "asof_known_at": NOON.replace(hour=13)},
    ]


def test_computed_columns_are_made_of_what_the_input_brings() -> None:
    here = Source(
        name="logins",
        table="fits.rows",
        columns=(
            *fields("string", "ip name mail"),
            Field(name="network", type="string", computed=col("ip").subnet()),
            Field(name="alike", type="float64", computed=likeness(col("name"), col("mail"))),
            Field(name="late", type="bool", computed=col("event_time").hour() >= 12),
            *fields("timestamp", "event_time"),
        ),
    )
    raw = {
        "ip": ["192.0.2.7", "home"],
        "name": ["Ann Lee", None],
        "mail": ["lee.ann", "x"],
        "event_time": [str(NOON), "never"],
    }
    found = fit(here, pa.table(raw))
    assert found.rows.schema == fitted_schema(here)
    assert found.rows.drop_columns(["event_time", "asof_known_at"]).to_pylist() == [
        {"ip": "192.0.2.7", "name": "Ann Lee", "mail": "lee.ann", "network": "192.0.2.0/24", "alike": 1.0, "late": True}
    ]
    assert list(found.reasons) == [1]
    assert [column.name for column in here.given] == ["ip", "name", "mail", "event_time"]


INT, FLOAT, TEXT, FLAG = (Field(name="x", type=kind) for kind in ("int64", "float64", "string", "bool"))
CENTS = Field(name="x", type="float64", scale=2)


@pytest.mark.parametrize(
    ("column", "given", "made"),
    [
        (INT, ["7", "-7", "+7", "7.0", "7.000", "9223372036854775807", "", None], [7, -7, 7, 7, 7, 2**63 - 1, None, None]),
        (INT, pa.array([1.0, -2.0, None]), [1, -2, None]),
        (INT, pa.array([Decimal("5.00")]), [5]),
        (INT, pa.array([1, 2**63 - 1], pa.uint64()), [1, 2**63 - 1]),
        (INT, pa.array([1, None], pa.int8()), [1, None]),
        (FLOAT, ["1.5", "1e3", ""], [1.5, 1000.0, None]),
        (FLOAT, pa.array([Decimal("1.25")]), [1.25]),
        (FLOAT, pa.array([3], pa.int32()), [3.0]),
        (FLOAT, pa.nulls(2), [None, None]),
        (TEXT, pa.array([12, None]), ["12", None]),
        (TEXT, pa.array(["a", "", "a"]).dictionary_encode(), ["a", "", "a"]),
        (FLAG, ["true", "T", "1", "yes", "FALSE", "f", "0", "No", ""], [True] * 4 + [False] * 4 + [None]),
        (FLAG, pa.array([1, 0, None]), [True, False, None]),
        (FLAG, pa.array([True, None]), [True, None]),
    ],
)  # fmt: skip
def test_what_fits(column: Field, given: "pa.Array | list[Any]", made: list[Any]) -> None:
    assert values(column, given) == made


def test_amounts_become_whole_units_half_to_even() -> None:
    # 1e-6 of a unit is what binary fractions are off by; what is nearer to a half than that is no whole unit.
    assert values(CENTS, pa.array([0.1 + 0.2, 12.34, -0.01, 1e9 + 0.07, None])) == [30, 1234, -1, 100_000_000_007, None]
    assert values(CENTS, ["12.34", "-0.01"]) == [1234, -1]
    assert values(Field(name="x", type="float64", scale=0), pa.array([3.0, -2.0])) == [3, -2]
    # As far as floats tell cents apart; beyond, texts, decimals and integers do.
    assert values(CENTS, pa.array([123_456_789.01, 21_474_836_470_000.07, 2**52 / 100])) == [
        12_345_678_901,
        2_147_483_647_000_007,
        2**52,
    ]
    exact = ["90071992547409.93", "-92233720368547758.08", "1.2E+3", " 7 "]
    assert values(CENTS, exact) == [9_007_199_254_740_993, -(2**63), 120_000, 700]
    assert values(CENTS, pa.array([Decimal("90071992547409.930"), None])) == [9_007_199_254_740_993, None]
    assert values(CENTS, pa.array([90_071_992_547_409_931])) == [9_007_199_254_740_993_100]
    assert values(INT, pa.array([1e14, -3e15, None])) == [10**14, -3 * 10**15, None]
    assert values(FLOAT, pa.array([2**53 + 1, None])) == [float(2**53 + 1), None]
    assert values(FLOAT, pa.array([2**64 - 1], pa.uint64())) == [float(2**64 - 1)]


@pytest.mark.parametrize(
    ("column", "given", "reason"),
    [
        (INT, ["1.5"], "x: '1.5' is not a whole number"),
        (INT, ["1_000"], "x: '1_000' is not a whole number"),
        (INT, ["٣"], "x: '٣' is not a whole number"),
        (INT, ["9223372036854775808"], "x: 9223372036854775808 does not fit 64 bits"),
        (INT, pa.array([2**63], pa.uint64()), "x: 9223372036854775808 does not fit 64 bits"),
        (INT, pa.array([0.5]), "x: 0.5 is not a whole number within 64 bits"),
        (INT, pa.array([1e19]), "x: 1e+19 is not a whole number within 64 bits"),
        (INT, pa.array([True]), "x: the input holds bool, not an integer"),
        (FLOAT, ["1,5"], "x: '1,5' is not a number"),
        (FLOAT, ["1_0"], "x: '1_0' is not a number"),
        (FLOAT, pa.array([False]), "x: the input holds bool, not a number"),
        (FLOAT, pa.array([NOON], AT), "x: the input holds timestamp[us, tz=UTC], not a number"),
        (CENTS, ["0.125"], "x: 0.125 is not a whole number of 1e-2 within 64 bits"),
        (CENTS, ["0.115"], "x: 0.115 is not a whole number of 1e-2 within 64 bits"),
        (CENTS, ["1e17"], "x: 1e17 is not a whole number of 1e-2 within 64 bits"),
        (CENTS, pa.array([6000000000000.004]), "x: 6000000000000.004 is not a whole number of 1e-2 within 64 bits"),
        (
            CENTS,
            pa.array([90071992547409.93]),
            "x: 90071992547409.94 is so large that a float does not tell it from the next 1e-2; deliver a decimal or text",
        ),
        (CENTS, pa.array([2**62]), "x: 4611686018427387904 is not a whole number of 1e-2 within 64 bits"),
        (CENTS, ["1e-99999999999999999999"], "x: 1e-99999999999999999999 is not a whole number of 1e-2 within 64 bits"),
        (
            CENTS,
            ["1e9999999999999999999999"],
            "x: 1e9999999999999999999999 is not a whole number of 1e-2 within 64 bits",
        ),
        (TEXT, pa.array([b"caf\xe9"]), r"x: b'caf\xe9' is not UTF-8"),
        (TEXT, pa.array([1.5]), "x: the input holds double, not text or an integer"),
        (TEXT, pa.array([[1]]), "x: the input holds list<item: int64>, not text or an integer"),
        (TEXT, pa.array([NOON], AT), "x: the input holds timestamp[us, tz=UTC], not text or an integer"),
        (FLAG, ["2"], "x: '2' is neither true nor false"),
        (FLAG, ["si"], "x: 'si' is neither true nor false"),
        (FLAG, pa.array([1.0]), "x: the input holds double, not true or false"),
    ],
)
def test_what_does_not_fit_says_why_and_the_others_stay(
    column: Field, given: "pa.Array | list[Any]", reason: str
) -> None:
    made = pa.array(given) if isinstance(given, list) else given
    found = tried(column, pa.concat_arrays([pa.nulls(1, made.type), made, pa.nulls(1, made.type)]))
    assert found.reasons == {1: reason}
    assert found.rows["x"].to_pylist() == [None, None]


def test_nan_and_infinities_become_null_and_are_counted() -> None:
    found = tried(FLOAT, pa.array([math.nan, math.inf, -math.inf, None, 2.5]))
    assert (found.rows["x"].to_pylist(), found.cleared, found.reasons) == ([None, None, None, None, 2.5], 3, {})
    text = tried(CENTS, ["nan", "inf", "oops", "1.00", "", None])
    assert (text.rows["x"].to_pylist(), text.cleared) == ([None, None, 100, None, None], 2)
    assert text.reasons == {2: "x: 'oops' is not a number"}


BERLIN = Field(name="x", type="timestamp", zone="Europe/Berlin")
LOCAL = Field(name="x", type="timestamp", zone="Europe/Berlin", format="%d.%m.%Y %H:%M")
PLAIN = Field(name="x", type="timestamp")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "given", "made"),
    [
        (PLAIN, "2026-07-01T12:00:00Z", "2026-07-01T12:00"),
        (PLAIN, "2026-07-01 12:00:00.000001+02:00", "2026-07-01T10:00:00.000001"),
        (BERLIN, "2026-07-01T12:00:00", "2026-07-01T10:00"),
        (BERLIN, "2026-01-01T12:00:00", "2026-01-01T11:00"),
        (BERLIN, "2026-01-01T12:00:00Z", "2026-01-01T12:00"),
        (LOCAL, "01.07.2026 12:00", "2026-07-01T10:00"),
        (BERLIN, "2026-10-25T02:30:00", "2026-10-25T00:30"),  # twice on that day: the earlier
        (BERLIN, "2026-03-29T02:30:00", "2026-03-29T01:30"),  # skipped on that day
    ],
)
def test_instants_of_text(column: Field, given: str, made: str) -> None:
    assert values(column, [given, "", None]) == [utc(made), None, None]


@pytest.mark.parametrize(
    "text", ["2026-07-01T12:00:00", "2026-01-01T12:00:00", "2026-10-25T02:30:00", "2026-03-29T02:30:00"]
)
def test_a_parquet_timestamp_without_zone_is_read_as_the_same_text(text: str) -> None:
    plain = pa.array([datetime.fromisoformat(text), None, datetime(2026, 5, 1)])  # noqa: DTZ001 - that is the point
    assert plain.type.tz is None
    assert values(BERLIN, plain)[:2] == [values(BERLIN, [text])[0], None]
    nanoseconds = plain.cast(pa.timestamp("ns"))
    assert values(BERLIN, nanoseconds) == values(BERLIN, plain)


def test_a_parquet_timestamp_with_a_zone_is_the_instant() -> None:
    assert values(PLAIN, pa.array([NOON], pa.timestamp("ms", "America/New_York"))) == [NOON]


@pytest.mark.parametrize(
    ("column", "given", "reason"),
    [
        (PLAIN, ["2026-03-02T12:00:00"], "x: '2026-03-02T12:00:00' has no zone, and the column declares none"),
        (PLAIN, ["yesterday"], "x: 'yesterday' is not a timestamp in ISO 8601"),
        (LOCAL, ["2026-03-02"], "x: '2026-03-02' is not a timestamp of the form %d.%m.%Y %H:%M"),
        (PLAIN, ["0001-01-01T00:00:00+05:00"], "x: '0001-01-01T00:00:00+05:00' is outside the years 1 to 9999"),
        (PLAIN, pa.array([datetime(2026, 3, 2)]), "x: the input holds timestamp[us], not an instant with a zone (or declare the column's zone)"),  # noqa: DTZ001
        (PLAIN, pa.array([253_402_300_800_000_000], pa.int64()).cast(AT), "x: it is outside the years 1 to 9999"),
        (PLAIN, pa.array([1_700_000_000]), "x: the input holds int64, not a timestamp"),
    ],
)  # fmt: skip
def test_instants_that_cannot_be_told(column: Field, given: "pa.Array | list[Any]", reason: str) -> None:
    assert tried(column, given).reasons == {0: reason}


def test_an_id_a_time_and_the_instant_of_receipt_must_be_there() -> None:
    here = Source(
        name="fits", table="fits.rows", columns=(*fields("string", "id"), *fields("timestamp", "event_time known")),
        known_at="known", event_id="id",
    )  # fmt: skip
    rows = {"id": ["a", None, "b", "c"], "event_time": [None, NOON, NOON, NOON], "known": [NOON, NOON, None, NOON]}
    found = fit(
        here,
        pa.table(
            {"id": rows["id"], "event_time": pa.array(rows["event_time"], AT), "known": pa.array(rows["known"], AT)}
        ),
    )
    assert found.reasons == {
        0: "event_time: it is null, and an event needs its time",
        1: "id: it is null, and an event needs its id",
        2: "known: it is null, and a row needs the instant it was received",
    }
    assert found.rows["id"].to_pylist() == ["c"]


def test_an_event_of_the_future_is_set_aside_one_within_max_future_is_not() -> None:
    here = Source(
        name="fits",
        table="fits.rows",
        columns=fields("timestamp", "event_time known"),
        known_at="known",
        max_future="5m",
    )
    times = [NOON.replace(minute=5), NOON.replace(minute=5, microsecond=1), NOON]
    found = fit(here, pa.table({"event_time": pa.array(times, AT), "known": pa.array([NOON] * 3, AT)}))
    assert found.reasons == {1: "event_time: 2026-03-02 12:05:00.000001+00:00 is more than 5m after it was known"}
    assert len(found.rows) == 2


def test_the_first_reason_of_a_row_is_told() -> None:
    here = source(INT)
    found = fit(here, pa.table({"x": ["no"], "event_time": ["never"]}))
    assert found.reasons == {0: "x: 'no' is not a whole number"}


def test_no_rows_are_no_reasons() -> None:
    found = fit(source(INT), pa.table({"x": pa.array([], pa.string()), "event_time": pa.array([], pa.string())}))
    assert (len(found.rows), found.reasons, found.cleared) == (0, {}, 0)


@given(st.integers(-(2**52), 2**52), st.integers(0, 6))
def test_a_float_that_is_nearest_to_a_whole_number_of_units_is_that_number(units: int, scale: int) -> None:
    column = Field(name="x", type="float64", scale=scale)
    assert values(column, pa.array([units / 10**scale, None])) == [units, None]
    assert values(column, [str(Decimal(units).scaleb(-scale)), None]) == [units, None]
