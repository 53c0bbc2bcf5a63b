"""Who behaves unlike itself and unlike its peers: unsupervised, for what no label has told yet."""

from features import (
    FeatureView,
    Window,
    anomaly,
    count,
    difference,
    distinct,
    flat,
    max_,
    mean,
    ratio,
    std,
    sum_,
    zscore,
)
from features.definitions.expressions import Expression
from features.definitions.features import Feature
from features.entities import ACCOUNT, MERCHANT
from features.sources import PAYMENTS
from features.views.conditions import DECLINED, FOREIGN, NIGHT, REMITTED, SMALL, UNSECURED

__all__ = ["ACCOUNT_ANOMALY", "MERCHANT_ANOMALY"]

_PAST = Window("30d", "1d")
"""The month before the last day."""


def _shares(**filters: Expression) -> tuple[Feature, ...]:
    """`<name>_shift`: the share of the last day's payments that meet a condition, less that of the month before."""
    made: list[Feature] = []
    for name, where in filters.items():
        made += count("1d", where=where, suffix=name) + count(_PAST, where=where, suffix=name)
        made += [
            ratio(f"count_{name}_1d", "count_1d", name=f"{name}_share"),
            ratio(f"count_{name}_{_PAST.label}", f"count_{_PAST.label}", name=f"{name}_share_past"),
            difference(f"{name}_share", f"{name}_share_past", name=f"{name}_shift"),
        ]
    return tuple(made)


def _news(**columns: str) -> tuple[Feature, ...]:
    """`new_<name>`: values of a column seen on the last day that the month before did not have."""
    made: list[Feature] = []
    for name, column in columns.items():
        made += distinct(column, "31d", limit=5000) + distinct(column, _PAST, limit=5000)
        made.append(difference(f"distinct_{column}_31d", f"distinct_{column}_{_PAST.label}", name=f"new_{name}"))
    return tuple(made)


_GROWTH: tuple[Feature, ...] = flat(
    (
        count("1d"), count(_PAST), sum_("amount_minor", "1d"), sum_("amount_minor", _PAST), max_("amount_minor", "1d"),
        mean("amount_minor", "1d"), mean("amount_minor", _PAST), std("amount_minor", _PAST),
        ratio("count_1d", f"count_{_PAST.label}", name="payments_growth"),
        ratio("sum_amount_minor_1d", f"sum_amount_minor_{_PAST.label}", name="amount_growth"),
        ratio("mean_amount_minor_1d", f"mean_amount_minor_{_PAST.label}", name="ticket_growth"),
        zscore("max_amount_minor_1d", of=f"amount_minor_{_PAST.label}"),
    )
)  # fmt: skip
"""The last day against the month before: how many payments, how much, how dear, and the dearest one."""

_GROWN = ("payments_growth", "amount_growth", "ticket_growth", "zscore_max_amount_minor_1d")

ACCOUNT_ANOMALY = FeatureView(
    name="account_anomaly",
    entity=ACCOUNT,
    source=PAYMENTS,
    owner="fraud-models",
    description="How unlike its own month, and unlike the other accounts that paid, an account's last day is, and what says so; null without a payment.",
    features=flat((
        _GROWTH,
        _news(merchants="merchant_id", cards="card_id", devices="device_id", addresses="address_id"),
        _shares(declined=DECLINED, night=NIGHT, remitted=REMITTED, foreign=FOREIGN),
        anomaly(
            of=(*_GROWN, "new_merchants", "new_cards", "new_devices", "new_addresses", "declined_shift", "night_shift", "remitted_shift", "foreign_shift"),
            active="count_1d",
        ),
    )),
)  # fmt: skip

MERCHANT_ANOMALY = FeatureView(
    name="merchant_anomaly",
    entity=MERCHANT,
    source=PAYMENTS,
    owner="merchants",
    description="How unlike its own month, and unlike the other merchants that sold, a merchant's last day is, and what says so; null without a payment.",
    features=flat((
        _GROWTH,
        _news(cards="card_id"),
        distinct("card_id", "1d", limit=5000),
        ratio("new_cards", "distinct_card_id_1d", name="new_card_share"),
        _shares(declined=DECLINED, small=SMALL, night=NIGHT, foreign=FOREIGN, unsecured=UNSECURED),
        anomaly(
            of=(*_GROWN, "new_card_share", "declined_shift", "small_shift", "night_shift", "foreign_shift", "unsecured_shift"),
            active="count_1d",
        ),
    )),
)  # fmt: skip
