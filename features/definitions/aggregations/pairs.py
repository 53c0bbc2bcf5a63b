"""Pairs of consecutive rows: how far apart their values are, and how fast someone must have travelled between them."""

import math

from features.definitions.aggregations.aggregation import NUMBERS, Aggregation, Ends, State

__all__ = ["PAIRS_MAX", "PAIRS_MEAN", "SPEED_MAX", "SPEED_MEAN"]

Words = list[float]
# Rows, pairs that count, their sum and largest; then time, latitude or value, longitude of the first row and of the last.
ROWS, PAIRS, SUM, LARGEST, FIRST, LAST, WIDTH = 0, 1, 2, 3, 4, 7, 10
EARTH_KM = 6371.0088
HOUR_US = 3_600_000_000.0


def width(kinds: int) -> int:
    """Ten words."""
    return WIDTH


def zero(state: Words) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0.0


def paired(state: Words, of: float) -> None:
    """One more pair."""
    state[SUM] += of
    state[LARGEST] = of if state[PAIRS] == 0.0 else max(state[LARGEST], of)
    state[PAIRS] += 1.0


def ended(state: Words, time: float, x: float, y: float) -> None:
    """The row that the next pair begins with."""
    if state[ROWS] == 0.0:
        state[FIRST] = time
        state[FIRST + 1] = x
        state[FIRST + 2] = y
    state[LAST] = time
    state[LAST + 1] = x
    state[LAST + 2] = y


def add_value(state: Words, time: int, value: float) -> None:
    """The difference from the row before, of the nearest float64s."""
    x = float(value)
    if state[ROWS] > 0.0:
        paired(state, abs(x - state[LAST + 1]))
    ended(state, float(time), x, 0.0)
    state[ROWS] += 1.0


def add_place(state: Words, time: int, value: list[float]) -> None:
    """The speed from the row before, unless it is of the same instant."""
    travelled(state, float(time), value[0], value[1])
    ended(state, float(time), value[0], value[1])
    state[ROWS] += 1.0


def travelled(state: Words, time: float, latitude: float, longitude: float) -> None:
    """Kilometres along the great circle (haversine, sphere of mean radius) an hour."""
    if state[ROWS] == 0.0 or time == state[LAST]:
        return
    north, south = math.radians(latitude), math.radians(state[LAST + 1])
    up, along = math.sin((north - south) / 2.0), math.sin(math.radians(longitude - state[LAST + 2]) / 2.0)
    half = up * up + math.cos(north) * math.cos(south) * along * along
    way = 2.0 * EARTH_KM * math.asin(math.sqrt(min(max(half, 0.0), 1.0)))
    paired(state, way / ((time - state[LAST]) / HOUR_US))


def merge_values(state: Words, later: Words) -> None:
    """Both and the pair between."""
    if state[ROWS] > 0.0 and later[ROWS] > 0.0:
        paired(state, abs(later[FIRST + 1] - state[LAST + 1]))
    joined(state, later)


def merge_places(state: Words, later: Words) -> None:
    """Both and the way between."""
    if later[ROWS] > 0.0:
        travelled(state, later[FIRST], later[FIRST + 1], later[FIRST + 2])
    joined(state, later)


def joined(state: Words, later: Words) -> None:
    """All but the pair between."""
    if later[ROWS] == 0.0:
        return
    if later[PAIRS] > 0.0:
        state[LARGEST] = later[LARGEST] if state[PAIRS] == 0.0 else max(state[LARGEST], later[LARGEST])
    state[SUM] += later[SUM]
    state[PAIRS] += later[PAIRS]
    if state[ROWS] == 0.0:
        for word in range(FIRST, LAST):
            state[word] = later[word]
    for word in range(LAST, WIDTH):
        state[word] = later[word]
    state[ROWS] += later[ROWS]


def largest(state: Words, ends: Ends) -> tuple[float, bool]:
    """Of the pairs."""
    return state[LARGEST], state[PAIRS] > 0.0


def average(state: Words, ends: Ends) -> tuple[float, bool]:
    """Of the pairs."""
    return state[SUM] / max(state[PAIRS], 1.0), state[PAIRS] > 0.0


_VALUES = State(words="float64", width=width, zero=zero, add=add_value, merge=merge_values, finish=largest)
_MEAN_OF_VALUES = State(words="float64", width=width, zero=zero, add=add_value, merge=merge_values, finish=average)
_PLACES = State(words="float64", width=width, zero=zero, add=add_place, merge=merge_places, finish=largest)
_MEAN_OF_PLACES = State(words="float64", width=width, zero=zero, add=add_place, merge=merge_places, finish=average)

PAIRS_MAX = Aggregation(
    name="pairs_max",
    says="Largest difference between consecutive values, without its sign, in the column's unit; of integers, of their nearest float64s.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    nulls="null below two values",
    state=_VALUES,
)
PAIRS_MEAN = Aggregation(
    name="pairs_mean",
    says="Mean difference between consecutive values, without its sign, in the column's unit; of integers, of their nearest float64s.",
    takes=(NUMBERS,),
    gives="float64",
    empty="null",
    nulls="null below two values",
    error="within 1e-9, relatively",
    state=_MEAN_OF_VALUES,
)
SPEED_MAX = Aggregation(
    name="speed_max",
    says="Largest speed between consecutive places, in km/h along the great circle. Inputs are latitude and longitude in degrees.",
    takes=(NUMBERS, NUMBERS),
    gives="float64",
    empty="null",
    nulls="null without two places at different instants",
    error="within 1e-9, relatively; the earth is a sphere of 6371.0088 km (0.6% at most)",
    state=_PLACES,
)
SPEED_MEAN = Aggregation(
    name="speed_mean",
    says="Mean of the speeds between consecutive places, in km/h along the great circle. Inputs are latitude and longitude in degrees.",
    takes=(NUMBERS, NUMBERS),
    gives="float64",
    empty="null",
    nulls="null without two places at different instants",
    error="within 1e-9, relatively; the earth is a sphere of 6371.0088 km (0.6% at most)",
    state=_MEAN_OF_PLACES,
)
