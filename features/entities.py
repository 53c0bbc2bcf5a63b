"""Who the risk catalogue's features are about."""

from features.definitions.entities import Entity

__all__ = [
    "ACCOUNT", "ACCOUNT_DEVICE", "ADDRESS", "BIN", "CARD", "CARD_DEVICE", "CARD_MERCHANT", "CATEGORY", "COUNTRY_PAIR", "DEVICE", "EMAIL", "IP", "MERCHANT", "NETWORK",
]  # fmt: skip

ACCOUNT = Entity(name="account", keys=("account_id",), description="A customer's account.")
ADDRESS = Entity(name="address", keys=("address_id",), description="Where goods are sent, as a hash.")
BIN = Entity(name="bin", keys=("bin",), description="The first digits of a card number: its bank and product.")
CARD = Entity(name="card", keys=("card_id",), description="A payment card, tokenised.")
CATEGORY = Entity(
    name="category",
    keys=("merchant_category",),
    description="What a merchant sells, as the payment's message says it (ISO 8583, field 18).",
)
COUNTRY_PAIR = Entity(
    name="country_pair",
    keys=("billing_country", "ip_country"),
    description="Where a card is billed and where its payment comes from.",
)
DEVICE = Entity(name="device", keys=("device_id",), description="A phone or computer.")
EMAIL = Entity(name="email", keys=("email_id",), description="An e-mail address, as a hash.")
IP = Entity(name="ip", keys=("ip",), description="An IP address.")
MERCHANT = Entity(name="merchant", keys=("merchant_id",), description="Who sells.")
NETWORK = Entity(name="network", keys=("network",), description="The first 24 bits of an IP address, of IPv6 48.")
ACCOUNT_DEVICE = Entity(name="account_device", keys=("account_id", "device_id"), description="An account on a device.")
CARD_DEVICE = Entity(name="card_device", keys=("card_id", "device_id"), description="A card on a device.")
CARD_MERCHANT = Entity(name="card_merchant", keys=("card_id", "merchant_id"), description="A card at a merchant.")
