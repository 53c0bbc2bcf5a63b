"""Which payments: conditions that several views share."""

from features import col

__all__ = ["APPROVED", "DECLINED", "FOREIGN", "NIGHT", "REMITTED", "SMALL", "UNSECURED"]

APPROVED = col("status") == "approved"
DECLINED = col("status") == "declined"
SMALL = col("amount_minor") < 500  # noqa: PLR2004  # card testing tries amounts under 5
FOREIGN = col("ip_country") != col("billing_country")
REMITTED = col("shipping_country") != col("billing_country")
UNSECURED = ~col("three_ds")
NIGHT = col("event_time").hour() < 6  # noqa: PLR2004  # UTC
