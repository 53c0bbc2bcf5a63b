"""Target encodings: a category as the share of its payments that came back, told from what was known at the time, smoothed where there are few."""

from features import Entity, FeatureView, cohort_rate, count, flat, lag_corrected_rate
from features.entities import BIN, CATEGORY, COUNTRY_PAIR
from features.sources import DISPUTES, PAYMENTS
from features.views.conditions import APPROVED

__all__ = ["BIN_FRAUD", "CATEGORY_FRAUD", "COUNTRY_PAIR_FRAUD"]


def _encoding(entity: Entity, description: str, counted: str = "") -> FeatureView:
    """Its rate of disputes, that of settled months and that of the last one as far as it shows yet; and its payments over the windows `counted`."""
    return FeatureView(
        name=f"{entity.name}_fraud",
        entity=entity,
        source=PAYMENTS,
        outcomes=(DISPUTES,),
        owner="fraud-models",
        description=description,
        features=flat(
            (
                count(counted) if counted else (),
                cohort_rate(DISPUTES, of="payment_id", over="90d", delay="60d", eligible=APPROVED, smoothed=200),
                lag_corrected_rate(
                    DISPUTES, of="payment_id", over="30d", mature="60d", eligible=APPROVED, smoothed=200
                ),
            )
        ),
    )


BIN_FRAUD = _encoding(
    BIN,
    "The card's bin as its rate of disputes: that of settled months, and that of the last one as far as it shows yet.",
)
CATEGORY_FRAUD = _encoding(CATEGORY, "What the merchant sells, as its rate of disputes and its volume.", "7d 30d")
COUNTRY_PAIR_FRAUD = _encoding(
    COUNTRY_PAIR, "Where a card is billed and where its payment comes from, as their rate of disputes.", "7d 30d"
)
