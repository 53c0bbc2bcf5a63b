"""A few views of the risk catalogue, one of each way through the engine, few enough for a cluster on two cores."""

from features import FeatureService, load_catalog

_ALL = load_catalog()
CARD_VELOCITY, CARD_CHECKOUT = _ALL.view("card_velocity"), _ALL.view("card_checkout")
BIN_FRAUD, MERCHANT_RISK = _ALL.view("bin_fraud"), _ALL.view("merchant_risk")
ACCOUNT_PROFILE = _ALL.view("account_profile")
SERVICE = FeatureService(
    name="clustered", views=("card_velocity", "card_checkout", "bin_fraud", "merchant_risk", "account_profile")
)
