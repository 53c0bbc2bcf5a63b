"""What is on offer: the wording of listings, by category of merchant, and what must not be sold.

A title is one of TITLES; the simulation keeps its position. Honest titles with suspicious words are there on purpose.
"""

from itertools import product
from typing import Final

import numpy as np

from jobs.simulate import places

__all__ = ["FIRST_PROHIBITED", "FIRST_TITLE", "PROMISE_DAYS", "TITLES", "TITLES_PER_CATEGORY"]

_ADJECTIVES: Final = ("classic", "organic", "compact", "family", "premium", "everyday")
_NOUNS: Final = {
    "groceries": ("olive oil", "coffee beans", "hemp seed muesli", "rice 5 kg", "pasta box"),
    "fashion": ("wool coat", "running shoes", "leather bag", "designer style scarf", "watch strap"),
    "electronics": ("phone case", "headphones", "power bank", "signal cable", "laptop stand"),
    "travel": ("city hotel 2 nights", "flight voucher", "train pass", "rental car day", "beach week"),
    "games": ("puzzle 1000", "water pistol", "board game", "toy gun with darts", "card deck"),
    "digital_goods": ("music plan 1 month", "photo presets", "e-book", "cloud storage 1 year", "stock photo pack"),
    "pharmacy": ("vitamin D drops", "sun lotion", "first aid kit", "herbal sleep tea", "thermometer"),
    "home": ("desk lamp", "kitchen knife block", "bed linen", "garden hose", "replica vintage clock"),
}
_PROHIBITED: Final = (
    "replica luxury watch AAA", "r3plica designer bag", "oxycodone no prescription", "xanax bars fast ship",
    "research peptide for weight loss", "steroid cycle kit", "ghost gun parts kit", "brass knuckles paperweight",
    "stun gun flashlight", "iptv all channels lifetime", "hacked streaming account", "fake id template",
    "verified bank logs", "carded gift cards 50% off", "ivory carving antique", "herbal incense k2 strong",
)  # fmt: skip
TITLES_PER_CATEGORY: Final = len(_ADJECTIVES) * len(_NOUNS["home"])
TITLES: Final = (
    *(f"{word} {noun}" for category in places.CATEGORIES for word, noun in product(_ADJECTIVES, _NOUNS[category])),
    *_PROHIBITED,
)
FIRST_TITLE: Final = np.arange(len(places.CATEGORIES)) * TITLES_PER_CATEGORY
"""Of each category, the position of its first title."""
FIRST_PROHIBITED: Final = len(TITLES) - len(_PROHIBITED)

PROMISE_DAYS: Final = np.array([1.0, 3.0, 3.0, 35.0, 2.0, 0.02, 2.0, 5.0])
"""Median days from payment to the promised delivery, by category; a journey is promised weeks ahead."""
