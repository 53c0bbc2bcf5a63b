"""What features are said to mean: sentences, units, null rules and reason codes, by hand; no operation is left without words."""

from dataclasses import replace

import pytest

from features import (
    Entity,
    EventFreshness,
    FeatureView,
    Field,
    Source,
    Window,
    arrival_rate,
    attribute,
    case,
    cohort_rate,
    col,
    count,
    decayed_sum,
    difference,
    distinct,
    entropy,
    fields,
    flat,
    lag_corrected_rate,
    last,
    last_k,
    mean,
    quantile,
    ratio,
    runs,
    speed,
    std,
    sum_,
    time_since_last,
    top_k,
    trend,
    zscore,
)  # fmt: skip
from features.definitions.aggregations import AGGREGATIONS
from features.definitions.expressions import Expression, likeness
from features.definitions.features import Aggregate
from features.definitions.meanings import freshness_text, meaning, null_rule
from features.definitions.phrases import condition_text, length_text, noun, plural
from features.definitions.units import reason_code, unit

PAIR = Entity(name="card_merchant", keys=("card_id", "merchant_id"))
PAID = Source(
    name="card_payments", table="b.paid", known_at="known", event_id="payment_id",
    columns=(*fields("string", "payment_id card_id merchant_id status"), *fields("int64", "amount_minor"), *fields("float64", "lat lon"),
             Field(name="fee", type="float64", scale=2), *fields("timestamp", "event_time known")),
)  # fmt: skip
CLAIMS = Source(
    name="claims", table="b.claims", known_at="known", event_id="claim_id",
    columns=(*fields("string", "claim_id payment_id card_id merchant_id"), *fields("timestamp", "event_time known")),
)  # fmt: skip
SMALL, DECLINED = col("amount_minor") < 500, col("status") == "declined"
VIEW = FeatureView(
    name="pairs", entity=PAIR, source=PAID, outcomes=(CLAIMS,), remember="365d",
    features=flat((
        count("1d", where=DECLINED, suffix="declined"), count("1d"), sum_("amount_minor", Window("30d", "7d"), where=SMALL, suffix="small"), sum_("fee", "7d"),
        distinct("merchant_id", "7d", limit=50), last("status", "ever"), time_since_last("ever"), mean("amount_minor", "7d"), std("amount_minor", "7d"),
        decayed_sum("amount_minor", "2d"), trend("1d"), entropy("status", "7d"), speed("lat", "lon", "24h", take="max"),
        runs("7d", of=DECLINED, then=col("status") == "approved", at_least=3), top_k("merchant_id", "7d", k=1), last_k("status", "7d", k=1),
        quantile("amount_minor", "7d", percent=90), ratio("count_declined_1d", "count_1d"), ratio("sum_fee_7d", "count_1d"),
        difference("count_declined_1d", "count_1d"), zscore("sum_fee_7d", of="amount_minor_7d"),
        cohort_rate(CLAIMS, of="payment_id", over="30d", delay="14d"), arrival_rate(CLAIMS, of="payment_id", over="7d", smoothed=20),
        lag_corrected_rate(CLAIMS, of="payment_id", over="7d", eligible=DECLINED),
    )),
)  # fmt: skip
OF = "card payments of the card and merchant"
MONEY = "minor units of the currency (cents)"
TOLD = {
    "count_declined_1d": (f"How many {OF} with status declined in the day before the cut.", "card payments", "CARD_MERCHANT_VELOCITY_DECLINED"),
    "sum_amount_minor_small_30d_offset_7d": (
        f"The sum of amount_minor of {OF} with amount_minor below 500 in the 30 days that end 7 days before the cut.", MONEY, "CARD_MERCHANT_AMOUNT_BELOW_500",
    ),
    "sum_fee_7d": (f"The sum of fee of {OF} in the 7 days before the cut.", "fee, in 10^-2", "CARD_MERCHANT_FEE"),
    "distinct_merchant_id_7d": (f"How many different merchants among {OF} in the 7 days before the cut, counted up to 50.", "merchants", "CARD_MERCHANT_VARIETY_MERCHANT"),
    "last_status_ever": (f"The status of the newest of the {OF} in the 365 days before the cut.", "text", "CARD_MERCHANT_STATUS"),
    "time_since_last_ever": (f"How long before the cut the newest of the {OF} was, of those in the 365 days before the cut.", "microseconds", "CARD_MERCHANT_RECENCY"),
    "decayed_sum_amount_minor_2d": (f"The sum of amount_minor of {OF} in the 128 days before the cut, each worth half as much with every 2 days of its age.", MONEY, "CARD_MERCHANT_AMOUNT"),
    "trend_1d": (f"How fast {OF} grow in number from one 30 minutes to the next, in the day before the cut.", "card payments in 30m, more each step", "CARD_MERCHANT_TREND"),
    "speed_max_24h": (f"The largest speed between the places of consecutive {OF} in the day before the cut.", "km/h", "CARD_MERCHANT_TRAVEL"),
    "p90_amount_minor_7d": (f"About the amount_minor below which a share of 0.9 of {OF} in the 7 days before the cut lie.", MONEY, "CARD_MERCHANT_AMOUNT"),
    "count_declined_1d_per_count_1d": (
        f"How many {OF} with status declined in the day before the cut, divided by: how many {OF} in the day before the cut.", "share (no unit)", "CARD_MERCHANT_SHARE_VELOCITY_DECLINED",
    ),
    "sum_fee_7d_per_count_1d": (
        f"The sum of fee of {OF} in the 7 days before the cut, divided by: how many {OF} in the day before the cut.", "fee, in 10^-2, divided by card payments",
        "CARD_MERCHANT_SHARE_FEE",
    ),
    "zscore_sum_fee_7d": (
        f"How far this lies from mean_amount_minor_7d, in standard deviations (std_amount_minor_7d): the sum of fee of {OF} in the 7 days before the cut.", "standard deviations",
        "CARD_MERCHANT_UNUSUAL_FEE",
    ),
    "claims_rate_30d_offset_14d": (
        f"The share of {OF} in the 30 days that end 14 days before the cut for which one of claims was known by the cut.", "claims a payment", "CARD_MERCHANT_OUTCOME_CLAIMS",
    ),
    "claims_arrival_rate_smoothed_7d": (
        f"How many of {OF} one of claims arrived for in the 7 days before the cut, over those that happened then, drawn towards the rate of all keys as by 20 more events.",
        "claims a payment", "CARD_MERCHANT_OUTCOME_CLAIMS",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_meaning_unit_and_reason_code(name: str) -> None:
    feature = next(each for each in VIEW.features if each.name == name)
    assert (meaning(VIEW, feature), unit(VIEW, feature), reason_code(VIEW, feature)) == TOLD[name]


def test_the_authors_own_words_come_first() -> None:
    assert meaning(VIEW, replace(VIEW.features[0], description="Declines of a day")) == "Declines of a day."


def test_a_view_that_follows_a_stream_ends_at_the_asked_instant() -> None:
    live = replace(VIEW, name="live", outcomes=(), features=count("15m"), freshness=EventFreshness(lag="1m"))
    assert meaning(live, live.features[0]) == f"How many {OF} in the 15 minutes before the asked instant."
    assert freshness_text(live) == "event: counts 1m known; corrections from cuts every 1d on"


def test_null_rules_come_from_the_operation() -> None:
    named = {each.name: each for each in VIEW.features}
    assert null_rule(VIEW, named["count_1d"]) == "never null"
    assert null_rule(VIEW, named["std_amount_minor_7d"]) == "null below two values"
    assert null_rule(VIEW, named["sum_fee_7d_per_count_1d"]) == "null if either part is null or the denominator is 0"
    assert (
        null_rule(VIEW, named["count_declined_1d_minus_count_1d"])
        == "null if either part is null, or where it leaves int64"
    )
    assert (
        null_rule(VIEW, attribute("status", ttl="30d"))
        == "null before the first row, after a deletion, or past 30 days"
    )


@pytest.mark.parametrize("operation", AGGREGATIONS)
def test_every_aggregation_has_words_of_its_own(operation: str) -> None:
    known = AGGREGATIONS[operation]
    feature = Aggregate(
        name="x", operation=operation, window=Window("7d"), column="amount_minor" if known.takes else None, limit=9,
        parameters=tuple((part.name, part.least) for part in known.given),
    )  # fmt: skip
    told = meaning(VIEW, feature)
    # Not the sentence that is made of the registry's where an author adds an operation.
    assert not told.startswith(known.says.removesuffix("."))
    assert f"{OF}" in told
    assert "None" not in told
    assert unit(VIEW, feature) != "not known"


CONDITIONS: dict[str, Expression] = {
    "status other than declined": col("status") != "declined",
    "fee above 1 and (status declined or status approved)": (col("fee") > 1)
    & (DECLINED | (col("status") == "approved")),
    "not (status declined)": ~DECLINED,
    "status known": ~col("status").is_null(),
    "status missing": col("status").is_null(),
    "status among a, b": col("status").isin("a", "b"),
    "status beginning with de": col("status").startswith("de"),
    "the hour of event_time at least 22": col("event_time").hour() >= 22,
    "(a + 1) at most b": col("a") + 1 <= col("b"),
    "(1 if status declined, else nothing)": case((DECLINED, 1)),
    "status the empty text": col("status") == "",
    "the network of ip missing": col("ip").subnet().is_null(),
    "the likeness of name to email or sold above 0.8": likeness(col("name"), col("email"), "sold") > 0.8,
    "the share of digits of name above 0.5": col("name").digit_share() > 0.5,
    "voided true": col("voided") == True,  # noqa: E712 - a row expression
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_conditions_in_words(text: str) -> None:
    assert condition_text(CONDITIONS[text]) == text


def test_lengths_and_nouns() -> None:
    assert [length_text(us) for us in (0, 1, 60_000_000, 5_400_000_000, 172_800_000_000)] == [
        "0 seconds",
        "1 microsecond",
        "1 minute",
        "90 minutes",
        "2 days",
    ]
    assert [plural(noun(name)) for name in ("merchant_id", "ip_country", "address_id", "ip_key", "bin")] == [
        "merchants",
        "ip countries",
        "addresses",
        "ip keys",
        "bins",
    ]


LOGINS = FeatureView(
    name="logins", entity=Entity(name="account", keys=("account_id",)), features=count("7d"),
    source=Source(name="tried", table="b.tried", known_at="known", event_id="id", columns=(
        *fields("string", "id account_id ip_country billing_country status email_id"), *fields("bool", "success"), *fields("float64", "fee"),
        *fields("timestamp", "event_time known"))),
)  # fmt: skip
CODES: dict[str, Expression] = {
    "NOT_SUCCESS": ~col("success"),
    "HOUR_BELOW_6": col("event_time").hour() < 6,
    "IP_COUNTRY_NOT_BILLING_COUNTRY": col("ip_country") != col("billing_country"),
    "APPROVED_WEEKDAY_FROM_5": (col("status") == "approved") & (col("event_time").weekday() >= 5),
    "FEE_IS_0": col("fee") == 0,
    "EMAIL_MISSING": col("email_id").is_null(),
}


@pytest.mark.parametrize("code", CODES)
def test_conditions_in_reason_codes(code: str) -> None:
    view = replace(LOGINS, features=count("7d", where=CODES[code]))
    assert reason_code(view, view.features[0]) == f"ACCOUNT_VELOCITY_{code}"
