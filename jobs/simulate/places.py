"""The fixed facts of the simulated world: countries, currencies, categories, names, the rhythm of a day and a week."""

from typing import Final

import numpy as np

__all__ = [
    "BINS_PER_COUNTRY",
    "CATEGORIES",
    "CATEGORY_AMOUNT",
    "CHANNELS",
    "CITIES",
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

CITIES: Final = np.array([
    [(40.71, -74.01), (34.05, -118.24), (41.88, -87.63), (29.76, -95.37)],
    [(51.51, -0.13), (53.48, -2.24), (52.49, -1.89), (55.86, -4.25)],
    [(52.52, 13.40), (53.55, 9.99), (48.14, 11.58), (50.11, 8.68)],
    [(48.86, 2.35), (45.76, 4.84), (43.30, 5.37), (50.63, 3.06)],
    [(52.37, 4.90), (51.92, 4.48), (52.09, 5.12), (51.44, 5.47)],
    [(40.42, -3.70), (41.39, 2.17), (39.47, -0.38), (37.39, -5.98)],
    [(41.90, 12.50), (45.46, 9.19), (40.85, 14.27), (45.07, 7.69)],
    [(53.35, -6.26), (51.90, -8.47), (53.27, -9.05), (52.66, -8.63)],
    [(35.68, 139.69), (34.69, 135.50), (35.18, 136.91), (43.06, 141.35)],
])  # fmt: skip
"""Latitude and longitude in degrees of four large cities of each country."""

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
