"""How merchants' sales move over the weeks: a trend of each, and the seasons of its category."""

from datetime import date
from typing import Final

import numpy as np

from jobs.simulate.randomness import Columns, Floats, traits
from jobs.simulate.world import DAY_US, World

__all__ = ["appeal"]

_YEAR_DAYS: Final = 365.25
_FAILING: Final = 0.04
"""The share of merchants whose sales halve every two months or so: those that cannot repay."""

_WEEK: Final = np.array([
    [0.9, 0.9, 0.9, 1.0, 1.25, 1.3, 0.75], [0.9, 0.9, 0.9, 1.0, 1.1, 1.2, 1.0], [1.0, 1.0, 1.0, 1.0, 1.1, 1.0, 0.9],
    [1.1, 1.0, 1.0, 0.9, 0.8, 0.9, 1.3], [0.8, 0.8, 0.8, 0.9, 1.2, 1.35, 1.15], [0.9, 0.9, 1.0, 1.0, 1.1, 1.1, 1.0],
    [1.2, 1.1, 1.0, 1.0, 1.0, 0.9, 0.8], [0.9, 0.9, 0.9, 0.9, 1.0, 1.25, 1.15],
])  # fmt: skip
"""By category, Monday first; beside the rhythm that all share."""

_PEAK_DAY: Final = np.array([355.0, 345.0, 345.0, 195.0, 350.0, 355.0, 25.0, 120.0])
"""Day of the year with most sales, by category: gifts before Christmas, journeys in July, colds in January."""
_SWING: Final = np.array([0.10, 0.30, 0.40, 0.50, 0.45, 0.15, 0.25, 0.25])


def appeal(world: World, merchants: Columns, ds: date, day_us: int) -> Floats:
    """By how much each merchant sells more than its popularity says, 1 in the mean of years without a trend.

    The trend is relative to the simulation's first day, so that the popularity holds there.
    """
    category = merchants["category"]
    years = (day_us - world.start_us) / DAY_US / _YEAR_DAYS
    lot = traits("trend", merchants["merchant_id"], world.seed)
    # Between halving and doubling in a year for most.
    slope = np.where(lot < _FAILING, -4.0, (lot - 0.5) * 1.4)
    season = 1.0 + _SWING[category] * np.cos(2.0 * np.pi * (ds.timetuple().tm_yday - _PEAK_DAY[category]) / _YEAR_DAYS)
    factor: Floats = np.exp(np.clip(slope * years, -6.0, 3.0)) * season * _WEEK[category, ds.weekday()]
    return factor
