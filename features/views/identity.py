"""Who accounts and devices say they are, as of any instant."""

from features import FeatureView, attribute, flat
from features.entities import ACCOUNT, DEVICE
from features.sources import ACCOUNTS, DEVICES

ACCOUNT_PROFILE = FeatureView(
    name="account_profile",
    entity=ACCOUNT,
    source=ACCOUNTS,
    owner="identity",
    description="The account's own record.",
    features=flat((attribute("country"), attribute("created_at"), attribute("email_domain"), attribute("status"))),
)

DEVICE_PROFILE = FeatureView(
    name="device_profile",
    entity=DEVICE,
    source=DEVICES,
    owner="identity",
    description="The device's own record.",
    features=flat((attribute("os"), attribute("model"), attribute("first_country"), attribute("emulator"))),
)
