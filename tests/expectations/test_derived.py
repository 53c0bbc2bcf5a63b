"""What follows from a definition, and what does not."""

from collections.abc import Iterable

import pytest

from expectations.conditions import violation
from expectations.derived import reaches_further, source_rules, view_rules
from expectations.rules import Facts, Rule
from expectations.views import facts_of, written_rules
from features import (
    Entity,
    FeatureView,
    Source,
    Window,
    anomaly,
    count,
    distinct,
    fields,
    flat,
    load_catalog,
    max_,
    mean,
    min_,
    ratio,
    sum_,
    time_since_last,
)
from features.definitions.durations import DAY
from features.definitions.expressions import col
from features.definitions.features import Feature
from features.errors import InputError

CARD = Entity(name="card", keys=("card_id",))
PAYMENTS = Source(
    name="pays", table="t.pays", columns=(*fields("string", "id card_id shop"), *fields("int64", "amount"), *fields("timestamp", "event_time")),
    event_id="id",
)  # fmt: skip
KNOWN = Facts(nonnegative=("amount",), categories={"shop": ("a", "b")}, not_null=("shop",))


def test_rules_of_a_source_say_what_a_person_knows_of_its_columns() -> None:
    facts = Facts(
        within={"amount": (-90, 90), "absent": (0, 1)}, not_before=(("event_time", "paid"), ("paid", "event_time"))
    )
    source = Source(
        name="claims", table="t.claims", columns=(*fields("int64", "amount"), *fields("timestamp", "event_time paid"))
    )  # fmt: skip
    made = {rule.name: rule for rule in source_rules(source, facts, day_from=0, known_before=9)}
    between, order = made["amount_within"], made["event_time_not_before_paid"]
    assert (between.check, between.lower, between.upper, between.severity) == ("between", -90, 90, "block")
    assert between.says == "amount is between -90 and 90."
    assert (order.check, order.columns, order.severity) == ("at_least", ("event_time", "paid"), "block")
    assert order.says == "event_time is not before paid."
    assert "absent_within" not in made, "a column that the source does not have has no rule"


def test_a_dispute_and_a_refund_do_not_precede_their_payment() -> None:
    for name in ("disputes", "refunds"):
        source = load_catalog().source(name)
        made = {rule.name for rule in source_rules(source, facts_of(source), day_from=0, known_before=9)}
        assert "event_time_not_before_payment_time" in made


def rules(*features: Feature | Iterable[Feature], facts: Facts = KNOWN) -> dict[str, Rule]:
    view = FeatureView(name="v", entity=CARD, source=PAYMENTS, features=flat(features))
    return {rule.name: rule for rule in view_rules(view, facts, valid_from=5)}


def test_every_view_has_its_shape() -> None:
    made = rules(count("1d"))
    assert {
        "grain",
        "card_id_not_null",
        "valid_from",
        "status_known",
        "status_not_null",
        "count_1d_range",
        "count_1d_not_null",
    } <= set(made)
    assert (made["valid_from"].lower, made["valid_from"].upper) == (5, 5)
    assert made["status_known"].values == ("ok", "overflow")


def test_longer_windows_hold_shorter_ones() -> None:
    made = rules(
        count("1d 7d ever"), max_("amount", "1d 7d"), min_("amount", "1d 7d"), distinct("shop", "1d 7d", limit=9)
    )
    assert made["count_1d_le_count_7d"].columns == ("count_7d", "count_1d")
    assert "count_7d_le_count_ever" in made
    assert made["max_amount_1d_le_max_amount_7d"].columns == ("max_amount_7d", "max_amount_1d")
    assert made["min_amount_7d_le_min_amount_1d"].columns == ("min_amount_1d", "min_amount_7d")
    assert made["max_amount_1d_implies_max_amount_7d"].check == "implies"
    assert made["distinct_shop_1d_le_count_1d"].columns == ("count_1d", "distinct_shop_1d")
    assert made["distinct_shop_1d_range"].upper == 9


def test_sums_are_monotone_only_where_a_person_says_that_amounts_are_not_negative() -> None:
    assert "sum_amount_1d_le_sum_amount_7d" in rules(sum_("amount", "1d 7d"))
    unknown = rules(sum_("amount", "1d 7d"), facts=Facts())
    assert not {"sum_amount_1d_le_sum_amount_7d", "sum_amount_1d_range"} & set(unknown)


def test_different_conditions_and_offsets_are_not_compared() -> None:
    made = rules(count("1d"), count("7d", where=col("shop") == "a", suffix="a"), count((Window("7d", "1d"),)))
    assert not [name for name in made if "_le_" in name]


def test_a_condition_takes_a_part_of_the_same_window() -> None:
    made = rules(count("1d"), count("1d", where=col("shop") == "a", suffix="a"), ratio("count_a_1d", "count_1d"))
    assert made["count_a_1d_le_count_1d"].columns == ("count_1d", "count_a_1d")
    assert (made["count_a_1d_per_count_1d_range"].lower, made["count_a_1d_per_count_1d_range"].upper) == (0, 1)


@pytest.mark.parametrize(
    ("longer", "shorter", "holds"),
    [
        (Window("7d"), Window("1d"), True),
        (Window("ever"), Window("30d"), True),
        (Window("1d"), Window("7d"), False),
        # 61 minutes exact reach back 61 minutes; an hour in steps of an hour up to 119.
        (Window("61m", step="exact"), Window("60m", step="1h"), False),
        (Window("120m", step="exact"), Window("60m", step="1h"), True),
        (Window("90m", step="3h"), Window("60m", step="1h"), True),
        (Window("7d", "1d"), Window("1d"), False),
    ],
)  # fmt: skip
def test_steps_decide_which_window_reaches_further(longer: Window, shorter: Window, holds: bool) -> None:  # noqa: FBT001
    assert reaches_further(longer, shorter, 730 * DAY) is holds
    if not longer.offset_us and not shorter.offset_us:
        anchors = range(0, 2 * DAY, 7 * 60_000_000)
        edges = [
            longer.bounds(anchor, 730 * DAY).lower <= shorter.bounds(anchor, 730 * DAY).lower for anchor in anchors
        ]
        assert all(edges) is holds


def test_means_lie_between_extremes_with_a_tolerance_and_ages_within_their_window() -> None:
    made = rules(mean("amount", "1d"), min_("amount", "1d"), max_("amount", "1d"), time_since_last("1d"))
    assert made["min_amount_1d_le_mean_amount_1d"].upper == 1e-9
    assert made["mean_amount_1d_le_max_amount_1d"].columns == ("max_amount_1d", "mean_amount_1d")
    assert made["time_since_last_1d_within"].upper == DAY + Window("1d").step_us


def test_a_reason_names_a_part_of_its_score() -> None:
    features = flat((count("7d"), sum_("amount", "7d"), anomaly(of=("count_7d", "sum_amount_7d"))))
    made = {
        rule.name: rule
        for rule in view_rules(
            FeatureView(name="v", entity=CARD, source=PAYMENTS, features=features), KNOWN, valid_from=0
        )
    }
    assert (made["anomaly_score_range"].lower, made["anomaly_score_range"].severity) == (0, "block")
    for reason in ("anomaly_reason_1", "anomaly_reason_2", "anomaly_reason_3"):
        rule = made[f"{reason}_known"]
        assert (rule.columns, rule.values) == ((reason,), ("count_7d", "sum_amount_7d"))
        assert rule.says == f"{reason} names a part of anomaly_score."


def test_a_partition_has_its_day_its_grain_and_its_facts() -> None:
    made = {rule.name: rule for rule in source_rules(PAYMENTS, KNOWN, day_from=10, known_before=20)}
    assert (made["known_at_day"].lower, made["known_at_day"].upper) == (10, 19)
    assert made["grain"].columns == ("id", "asof_known_at", "asof_op")
    assert {"amount_not_negative", "shop_known", "shop_not_null", "event_id_not_null"} <= set(made)


def test_written_rules_belong_to_views_that_have_their_columns() -> None:
    catalog = load_catalog()
    assert [rule.name for rule in written_rules(catalog.view("card_velocity"))][:1] == ["declined_rate_of_a_card"]
    other = FeatureView(name="card_velocity", entity=CARD, source=PAYMENTS, features=count("7d"))
    assert written_rules(other) == ()
    assert facts_of(catalog.source("payments")).nonnegative == ("amount_minor",)
    for view in catalog.views:
        made = (*view_rules(view, facts_of(view.source), valid_from=0), *written_rules(view))
        assert len({rule.name for rule in made}) == len(made), f"two rules of {view.name} share a name"


def test_a_rule_about_a_column_that_is_not_there_is_refused() -> None:
    rule = Rule(name="r", severity="warn", says="s", remedy="m", check="not_null", columns=("gone",))
    with pytest.raises(InputError, match=r"The rule 'r' is about 'gone', which is not among \['here'\]"):
        violation(rule, {"here": "int64"})
    with pytest.raises(InputError, match="of kind 'unique', which no single row decides"):
        violation(
            Rule(name="u", severity="warn", says="s", remedy="m", check="unique", columns=("here",)), {"here": "int64"}
        )
