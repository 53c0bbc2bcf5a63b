"""Who accounts and devices say they are, how they log in, and what they changed, as of any instant."""

from features import (
    FeatureView,
    attribute,
    col,
    count,
    count_by,
    distinct,
    flat,
    gap_mean,
    last,
    ratio,
    speed,
    time_since_first,
    time_since_last,
    velocity,
)
from features.entities import ACCOUNT, DEVICE
from features.sources import ACCOUNT_CHANGES, ACCOUNT_VERSIONS, ACCOUNTS, DEVICES, LOGINS

FAILED = ~col("success")
FIELDS = ("password", "email", "phone", "address", "payout_account")

ACCOUNT_PROFILE = FeatureView(
    name="account_profile",
    entity=ACCOUNT,
    source=ACCOUNTS,
    owner="identity",
    description="The account's own record, and how its e-mail address looks beside its name.",
    features=flat(
        (
            attribute("country"),
            attribute("created_at"),
            attribute("email_domain"),
            attribute("status"),
            attribute("name_email_likeness"),
            attribute("email_digit_share"),
            attribute("email_disposable"),
        )
    ),
)

ACCOUNT_AGE = FeatureView(
    name="account_age",
    entity=ACCOUNT,
    source=ACCOUNT_VERSIONS,
    remember="3650d",
    owner="identity",
    description="How long the account has been there, and how often its record changed.",
    features=flat((time_since_first("ever"), time_since_last("ever"), count("30d ever"))),
)

DEVICE_PROFILE = FeatureView(
    name="device_profile",
    entity=DEVICE,
    source=DEVICES,
    owner="identity",
    description="The device's own record.",
    features=flat((attribute("os"), attribute("model"), attribute("first_country"), attribute("emulator"))),
)

ACCOUNT_LOGINS = FeatureView(
    name="account_logins",
    entity=ACCOUNT,
    source=LOGINS,
    owner="identity",
    description="How an account logs in: failures, new devices and networks, and journeys that nobody can make.",
    features=flat(
        (
            velocity("1d 7d 30d", distincts=("device_id", "ip"), limit=50),
            count("1d 7d 30d", where=FAILED, suffix="failed"),
            distinct("ip", "7d 30d", limit=50, where=FAILED, suffix="failed"),
            speed("lat", "lon", "1d 7d 30d", take="max", where=col("success")),
            speed("lat", "lon", "30d", take="mean", where=col("success")),
            gap_mean("30d"),
            last("device_id", "ever", where=col("success")),
            time_since_last("ever"),
            time_since_last("ever", where=FAILED, suffix="failed"),
            ratio("count_failed_7d", "count_7d"),
            ratio("distinct_device_id_7d", "distinct_device_id_30d"),
        )
    ),
)

DEVICE_LOGINS = FeatureView(
    name="device_logins",
    entity=DEVICE,
    source=LOGINS,
    owner="identity",
    description="Whose accounts one device tries.",
    features=flat(
        (
            velocity("1d 7d 30d", distincts=("account_id", "ip"), limit=100),
            count("1d 7d 30d", where=FAILED, suffix="failed"),
            distinct("account_id", "7d", limit=100, where=FAILED, suffix="failed"),
            time_since_first("ever"),
            time_since_last("ever"),
            ratio("count_failed_7d", "count_7d"),
        )
    ),
)

ACCOUNT_CHANGED = FeatureView(
    name="account_changed",
    entity=ACCOUNT,
    source=ACCOUNT_CHANGES,
    owner="identity",
    description="What was changed on an account, and how long ago: a taken account changes hands before it pays.",
    features=flat(
        (
            count("1d 7d 30d"),
            count_by("field", "30d", categories=FIELDS),
            distinct("field", "1d 30d", limit=10),
            time_since_last("ever"),
            time_since_last("ever", where=col("field") == "password", suffix="password"),
            time_since_last("ever", where=col("field") == "email", suffix="email"),
            time_since_last("ever", where=col("field") == "address", suffix="address"),
        )
    ),
)
