"""Accounts that share devices and send each other money; reports mark some of them."""

from features import (
    Entity,
    FeatureService,
    FeatureView,
    Field,
    Graph,
    Relation,
    Source,
    col,
    distinct,
    fields,
    flat,
    sum_,
)

ACCOUNT = Entity(name="account", keys=("account",))
PAYMENTS = Source(
    name="linked_payments", table="linked.payments", known_at="known", event_id="id", version="ver", void="gone",
    columns=(*fields("string", "id account device"), Field(name="ver", type="int64"), Field(name="gone", type="bool"), *fields("timestamp", "event_time known")),
)  # fmt: skip
TRANSFERS = Source(
    name="linked_transfers", table="linked.transfers", known_at="known", event_id="id",
    columns=(*fields("string", "id account payee"), Field(name="amount", type="int64"), *fields("timestamp", "event_time known")),
)  # fmt: skip
REPORTS = Source(
    name="linked_reports", table="linked.reports", known_at="known", event_id="id", version="ver", void="gone",
    columns=(*fields("string", "id account"), Field(name="ver", type="int64"), Field(name="gone", type="bool"), *fields("timestamp", "event_time known")),
)  # fmt: skip
GRAPH = Graph(
    name="linked", entity=ACCOUNT, marks=(REPORTS,), database="linked",
    relations=(
        Relation(name="device", sources=(PAYMENTS,), to="device", hub=2),
        Relation(name="transfer", sources=(TRANSFERS.derive("large_transfers", filter=col("amount") > 0),), to="payee", same=True, hub=2),
    ),
)  # fmt: skip
LINKS = FeatureView(
    name="linked_links", entity=ACCOUNT, source=GRAPH.links,
    features=flat((distinct("other", "ever", limit=50), distinct("other", "ever", limit=50, where=col("relation") == "device", suffix="device"),
                   distinct("node", "ever", limit=50, where=col("relation") == "device", suffix="device"))),
)  # fmt: skip
MARKED = FeatureView(
    name="linked_marked", entity=ACCOUNT, source=GRAPH.exposures,
    features=flat((distinct("other", "ever", limit=50), distinct("node", "ever", limit=50, where=col("relation") == "device", suffix="device"))),
)  # fmt: skip
COMPONENT = FeatureView(
    name="linked_component", entity=ACCOUNT, source=GRAPH.components,
    features=flat((sum_("entities_added", "1d 2d ever"), sum_("nodes_added", "ever"))),
)  # fmt: skip
SERVICE = FeatureService(name="linked_v1", views=(LINKS, MARKED, COMPONENT))
