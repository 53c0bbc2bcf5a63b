"""Who shares devices, cards, addresses and networks with whom, which merchants share customers, and how far what is known to be bad is: graphs as of any instant."""

from dataclasses import replace

from features import FeatureView, Graph, Relation, col, count, difference, distinct, flat, ratio, sum_, time_since_last
from features.definitions.features import Aggregate
from features.entities import ACCOUNT, CARD, MERCHANT
from features.sources import CLOSED_MERCHANTS, FRAUD_REPORTS, PAYMENTS, SALES, WRITTEN_OFF_ADVANCES

__all__ = [
    "ACCOUNT_COMPONENT", "ACCOUNT_EXPOSURE", "ACCOUNT_LINKS", "CARD_SHARING", "CUSTOMERS", "MERCHANT_COMMON", "MERCHANT_COMMON_BAD", "SHARED",
]  # fmt: skip

SHARED = Graph(
    name="shared",
    entity=ACCOUNT,
    relations=(
        Relation(name="device", sources=(PAYMENTS,), to="device_id", hub=20),
        Relation(name="card", sources=(PAYMENTS,), to="card_id", hub=8),
        Relation(name="address", sources=(PAYMENTS,), to="address_id", hub=12),
        # A carrier's or a café's address has more, and says nothing.
        Relation(name="ip", sources=(PAYMENTS,), to="ip", hub=5),
    ),
    marks=(FRAUD_REPORTS,),
    owner="identity",
    description="Accounts, and what they pay with, from and to; accounts with a fraud report are marked.",
)


ACCOUNT_LINKS = FeatureView(
    name="account_links",
    entity=ACCOUNT,
    source=SHARED.links,
    owner="identity",
    description="Accounts that share something with this one, by what they share.",
    features=flat(
        (
            distinct("other", "1d 7d 30d ever", limit=100),
            *(
                distinct("other", "7d ever", limit=50, where=col("relation") == relation.name, suffix=relation.name)
                for relation in SHARED.relations
            ),
            ratio("distinct_other_7d", "distinct_other_ever"),
            time_since_last("ever"),
        )
    ),
)

ACCOUNT_EXPOSURE = FeatureView(
    name="account_exposure",
    entity=ACCOUNT,
    source=SHARED.exposures,
    owner="identity",
    description="Known fraud within two hops: accounts with a fraud report that share something with this one.",
    features=flat(
        (
            distinct("other", "7d 30d ever", limit=50),
            *(
                distinct("other", "ever", limit=50, where=col("relation") == relation, suffix=relation)
                for relation in ("device", "card")
            ),
            time_since_last("ever"),
        )
    ),
)

ACCOUNT_COMPONENT = FeatureView(
    name="account_component",
    entity=ACCOUNT,
    source=SHARED.components,
    owner="identity",
    description="The component of the graph that the account lies in: its size, and how it grew.",
    features=flat(
        (
            sum_("entities_added", "1d 7d 30d ever"),
            sum_("nodes_added", "7d ever"),
            ratio("sum_entities_added_7d", "sum_entities_added_ever"),
            ratio("sum_nodes_added_ever", "sum_entities_added_ever"),
        )
    ),
)

CARD_SHARING = FeatureView(
    name="card_sharing",
    entity=CARD,
    source=PAYMENTS,
    owner="payments",
    description="How many accounts, devices, addresses and e-mails use one card.",
    features=flat(
        (
            *(
                distinct(column, "7d 30d ever", limit=50)
                for column in ("account_id", "device_id", "address_id", "email_id", "ip", "network")
            ),
            count("ever"),
            difference("distinct_device_id_30d", "distinct_device_id_7d"),
            ratio("distinct_account_id_30d", "distinct_device_id_30d"),
        )
    ),
)


CUSTOMERS = Graph(
    name="customers",
    entity=MERCHANT,
    # Who buys everywhere says nothing of anybody.
    relations=(Relation(name="customer", sources=(SALES,), to="account_id", hub=10),),
    marks=(CLOSED_MERCHANTS, WRITTEN_OFF_ADVANCES),
    owner="merchants",
    description="Merchants and who has bought there; marked are those whose account was ended or whose advance was written off.",
)


def _counted(column: str, over: str, limit: int, text: str) -> tuple[Aggregate, ...]:
    """Distinct values, each feature with what it counts and since when."""
    return tuple(
        replace(feature, description=text if feature.window.length == "ever" else f"{text}; since {feature.window.length} at most")
        for feature in distinct(column, over, limit=limit)
    )  # fmt: skip


MERCHANT_COMMON = FeatureView(
    name="merchant_common",
    entity=MERCHANT,
    source=CUSTOMERS.links,
    owner="merchants",
    description="Customers in common with other merchants: accounts that bought at both, and at no more than ten.",
    features=flat(
        (
            _counted("node", "7d 30d ever", 2000, "Customers in common with any other merchant"),
            _counted("other", "7d ever", 500, "Other merchants with a customer in common"),
            ratio("distinct_node_7d", "distinct_node_ever"),
            ratio("distinct_node_ever", "distinct_other_ever"),
        )
    ),
)

MERCHANT_COMMON_BAD = FeatureView(
    name="merchant_common_bad",
    entity=MERCHANT,
    source=CUSTOMERS.exposures,
    owner="merchants",
    description="Customers in common with merchants that are known to be bad: their account was ended, or their advance written off.",
    features=flat(
        (
            _counted("node", "7d 30d ever", 2000, "Customers in common with merchants known to be bad"),
            _counted("other", "30d ever", 100, "Merchants known to be bad with a customer in common"),
            ratio("distinct_node_30d", "distinct_node_ever"),
            ratio("distinct_node_ever", "distinct_other_ever"),
            time_since_last("ever"),
        )
    ),
)
