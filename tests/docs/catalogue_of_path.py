"""radar_v1 of nine views, as many as a test can compute in its time."""

from features import FeatureService
from features.services import FRAUD as FRAUD
from features.views.identity import ACCOUNT_PROFILE, DEVICE_PROFILE
from features.views.merchants import MERCHANT_DISPUTES, MERCHANT_PROFILE, MERCHANT_RISK
from features.views.payments import ACCOUNT_HISTORY, CARD_AT_MERCHANT, CARD_VELOCITY, DEVICE_SHARING

VIEWS = (
    CARD_VELOCITY, ACCOUNT_HISTORY, ACCOUNT_PROFILE, DEVICE_SHARING, DEVICE_PROFILE, CARD_AT_MERCHANT, MERCHANT_RISK, MERCHANT_DISPUTES, MERCHANT_PROFILE,
)  # fmt: skip
RADAR = FeatureService(name="radar_v1", owner="tests", views=VIEWS)
