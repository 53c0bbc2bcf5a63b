"""Who the risk catalogue's features are about."""

from features.definitions.entities import Entity

__all__ = ["ACCOUNT", "BIN", "CARD", "CARD_MERCHANT", "DEVICE", "MERCHANT"]

ACCOUNT = Entity(name="account", keys=("account_id",), description="A customer's account.")
BIN = Entity(name="bin", keys=("bin",), description="The first digits of a card number: its bank and product.")
CARD = Entity(name="card", keys=("card_id",), description="A payment card, tokenised.")
DEVICE = Entity(name="device", keys=("device_id",), description="A phone or computer.")
MERCHANT = Entity(name="merchant", keys=("merchant_id",), description="Who sells.")
CARD_MERCHANT = Entity(name="card_merchant", keys=("card_id", "merchant_id"), description="A card at a merchant.")
