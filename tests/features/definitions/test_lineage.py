"""Which source columns stand behind a feature, by hand."""

from dataclasses import replace

from features import (
    Entity,
    FeatureView,
    Field,
    Source,
    col,
    count,
    difference,
    fields,
    flat,
    mean,
    ratio,
    std,
    sum_,
    zscore,
)
from features.definitions.expressions import likeness
from features.definitions.lineage import Read, bases, lineage
from tests.jobs.catalogue_of_graphs import COMPONENT, MARKED
from tests.jobs.shop import DAILY_VIEW, DISPUTE_VIEW, RECORD_VIEW

CARD = Entity(name="card", keys=("card",))
PAID = Source(name="paid", table="b.paid", columns=(*fields("string", "id card status"), *fields("int64", "amount"), *fields("timestamp", "event_time known")), known_at="known", event_id="id")  # fmt: skip
LARGE = PAID.derive("large", filter=col("amount") > 10)
VIEW = FeatureView(
    name="v", entity=CARD, source=LARGE,
    features=flat((
        count("2d", where=col("status") == "ok", suffix="ok"), count("2d"), sum_("amount", "2d"), mean("amount", "2d"), std("amount", "2d"),
        ratio("count_ok_2d", "count_2d"), difference("count_ok_2d_per_count_2d", "count_2d"), zscore("sum_amount_2d", of="amount_2d"),
    )),
)  # fmt: skip


def shown(reads: tuple[Read, ...]) -> list[str]:
    return [f"{read.table}.{read.column} {read.role}{''.join(f' < {part}' for part in read.through)}" for read in reads]


def test_derived_features_rest_on_those_that_read_rows() -> None:
    assert [feature.name for feature in bases(VIEW, "count_2d")] == ["count_2d"]
    assert [each.name for each in bases(VIEW, "count_ok_2d_per_count_2d_minus_count_2d")] == ["count_ok_2d", "count_2d"]
    assert [each.name for each in bases(VIEW, "zscore_sum_amount_2d")] == [
        "sum_amount_2d",
        "mean_amount_2d",
        "std_amount_2d",
    ]


def test_a_feature_reads_its_column_its_condition_its_key_and_the_rows_own_filter() -> None:
    assert shown(lineage(VIEW, "count_ok_2d")) == [
        "b.paid.status condition < large", "b.paid.card key < large", "b.paid.event_time time < large", "b.paid.amount filter < large",
    ]  # fmt: skip
    derived = shown(lineage(VIEW, "count_ok_2d_per_count_2d_minus_count_2d"))
    assert derived == shown(lineage(VIEW, "count_ok_2d"))
    assert "b.paid.amount value < large" in shown(lineage(VIEW, "zscore_sum_amount_2d"))


def test_what_a_child_takes_is_its_parents() -> None:
    assert shown(lineage(DISPUTE_VIEW, "count_3d")) == [
        "shop.disputes.event_time time", "shop.payments.card key < shop_disputes.payment",
    ]  # fmt: skip


def test_a_computed_column_is_made_of_those_that_the_input_brings() -> None:
    made = Field(name="same", type="float64", computed=likeness(col("status"), col("id")))
    source = replace(PAID, columns=(*PAID.columns, made))
    view = FeatureView(name="c", entity=CARD, source=source, features=count("2d", where=col("same") > 0.5))
    assert shown(lineage(view, "count_2d"))[:2] == [
        "b.paid.id condition < paid.same",
        "b.paid.status condition < paid.same",
    ]


def test_a_rate_reads_events_and_outcomes() -> None:
    assert shown(lineage(DAILY_VIEW, "shop_disputes_rate_2d_offset_1d")) == [
        "shop.disputes.payment match", "shop.disputes.event_time outcome", "shop.payments.card key < shop_disputes.payment", "shop.payments.card key",
        "shop.payments.event_time time",
    ]  # fmt: skip


def test_an_attribute_reads_its_column() -> None:
    assert shown(lineage(RECORD_VIEW, "country"))[0] == "shop.cards.country value"


def test_what_is_derived_from_a_graph_comes_from_its_edges_and_marks() -> None:
    edges = shown(lineage(COMPONENT, "sum_nodes_added_ever"))
    assert edges == [
        "linked.payments.account edge < linked_components", "linked.payments.device edge < linked_components",
        "linked.transfers.account edge < linked_components < large_transfers", "linked.transfers.payee edge < linked_components < large_transfers",
    ]  # fmt: skip
    assert "linked.reports.account mark < linked_exposures" in shown(lineage(MARKED, "distinct_other_ever"))
