"""The fixed facts of the simulated world: countries, currencies, categories, names, the rhythm of a day and a week."""

from typing import Final

import numpy as np

__all__ = [
    "BINS_PER_COUNTRY",
    "CATEGORIES",
    "CATEGORY_AMOUNT",
    "CHANNELS",
    "COUNTRIES",
    "COUNTRY_CURRENCY",
    "COUNTRY_SHARE",
    "COUNTRY_THREE_DS",
    "COUNTRY_ZONE_HOURS",
    "CURRENCIES",
    "CURRENCY_MINOR",
    "DOMAINS",
    "FIRST_DISPOSABLE",
    "FIRST_NAMES",
    "HOURS",
    "LAST_NAMES",
    "MODELS",
    "SYSTEMS",
    "TIERS",
    "WEEKDAYS",
]

CURRENCIES: Final = ("EUR", "USD", "GBP", "JPY")
CURRENCY_MINOR: Final = np.array([100.0, 108.0, 86.0, 160.0])
"""Minor units of the currency that one euro buys; the yen has no minor unit of its own."""

COUNTRIES: Final = ("US", "GB", "DE", "FR", "NL", "ES", "IT", "IE", "JP")
COUNTRY_SHARE: Final = np.array([0.22, 0.16, 0.18, 0.13, 0.09, 0.07, 0.07, 0.04, 0.04])
COUNTRY_CURRENCY: Final = np.array([1, 2, 0, 0, 0, 0, 0, 0, 3])
COUNTRY_ZONE_HOURS: Final = np.array([-5, 0, 1, 1, 1, 1, 1, 0, 9])
COUNTRY_THREE_DS: Final = np.array([0.10, 0.65, 0.70, 0.70, 0.75, 0.70, 0.70, 0.65, 0.30])
BINS_PER_COUNTRY: Final = 12

CATEGORIES: Final = ("groceries", "fashion", "electronics", "travel", "games", "digital_goods", "pharmacy", "home")
CATEGORY_AMOUNT: Final = np.array([34.0, 58.0, 160.0, 240.0, 22.0, 12.0, 28.0, 75.0])
"""A typical purchase in euros."""

TIERS: Final = ("low", "medium", "high")
CHANNELS: Final = ("web", "app")
SYSTEMS: Final = ("ios 18.1", "ios 18.2", "android 15", "android 16", "windows 11", "macos 15")
MODELS: Final = ("iphone14", "iphone15", "pixel8", "galaxy_s24", "thinkpad", "macbook")

DOMAINS: Final = ("gmail.com", "outlook.com", "gmx.de", "orange.fr", "icloud.com", "mailinator.com", "trashmail.com")
FIRST_DISPOSABLE: Final = 5
"""From this position on, a domain hands out throw-away addresses."""

FIRST_NAMES: Final = (
    "Ana", "Ben", "Carla", "David", "Emma", "Finn", "Grace", "Hugo", "Ines", "Jonas", "Kenji", "Lena",
    "Marta", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tim", "Yuki",
)  # fmt: skip
LAST_NAMES: Final = (
    "Adams", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hughes", "Ito", "Jansen", "Keller", "Lopez",
    "Martin", "Novak", "Obrien", "Rossi", "Sato", "Smith", "Vidal", "Weber",
)  # fmt: skip

_HOUR_WEIGHTS: Final = np.array(
    [1.2, 0.7, 0.4, 0.3, 0.3, 0.5, 1.2, 2.4, 3.6, 4.6, 5.2, 5.6,
     6.2, 5.8, 5.2, 5.2, 5.6, 6.4, 7.4, 8.2, 8.0, 6.6, 4.6, 2.6],
)  # fmt: skip
HOURS: Final = np.cumsum(_HOUR_WEIGHTS / _HOUR_WEIGHTS.sum())
"""The share of a local day's purchases made by the end of each local hour."""

WEEKDAYS: Final = (0.94, 0.93, 0.96, 1.00, 1.14, 1.20, 0.83)
"""Monday first; mean 1."""
