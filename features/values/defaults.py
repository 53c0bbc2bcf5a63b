"""What a key without any event has: counts, sums and distincts 0, all else null (semantics 4)."""

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.expressions import Scalar
from features.definitions.features import Aggregate, Difference
from features.definitions.views import FeatureView

__all__ = ["never_seen"]


def never_seen(view: FeatureView) -> dict[str, Scalar]:
    """Feature name to the value of a key that was never seen, in the feature's own type: 0 or 0.0, else None."""
    values: dict[str, Scalar] = {}
    types = view.types
    for feature in view.features:
        match feature:
            case Aggregate() if AGGREGATIONS[feature.operation].empty == "0":
                zero = True
            case Difference():
                zero = values[feature.minuend] is not None and values[feature.subtrahend] is not None
            case _:
                zero = False
        values[feature.name] = (0.0 if types[feature.name] == "float64" else 0) if zero else None
    return values
