"""Services with the names that a report is of, each of one view of the catalogue, so that two sources are enough."""

from features import FeatureService
from features.services import FRAUD as FRAUD
from features.views.merchants import MERCHANT_RISK
from features.views.payments import CARD_VELOCITY
from features.views.places import EMAIL_VELOCITY

VIEWS = (CARD_VELOCITY, EMAIL_VELOCITY, MERCHANT_RISK)
RADAR = FeatureService(name="radar_v1", owner="tests", views=(CARD_VELOCITY,))
IDENTITY = FeatureService(name="identity_v1", owner="tests", views=(EMAIL_VELOCITY,))
MERCHANT = FeatureService(name="fraud_v1", owner="tests", views=(MERCHANT_RISK,))
