"""The authoring API, all of it: what a file of definitions imports."""

from features.definitions.anomalies import anomaly as anomaly
from features.definitions.authoring import (
    attribute as attribute,
)
from features.definitions.authoring import (
    count as count,
)
from features.definitions.authoring import (
    difference as difference,
)
from features.definitions.authoring import (
    distinct as distinct,
)
from features.definitions.authoring import (
    first as first,
)
from features.definitions.authoring import (
    last as last,
)
from features.definitions.authoring import (
    max_ as max_,
)
from features.definitions.authoring import (
    mean as mean,
)
from features.definitions.authoring import (
    min_ as min_,
)
from features.definitions.authoring import (
    ratio as ratio,
)
from features.definitions.authoring import (
    requested as requested,
)
from features.definitions.authoring import (
    std as std,
)
from features.definitions.authoring import (
    sum_ as sum_,
)
from features.definitions.authoring import (
    time_since_first as time_since_first,
)
from features.definitions.authoring import (
    time_since_last as time_since_last,
)
from features.definitions.authoring import (
    velocity as velocity,
)
from features.definitions.authoring import (
    zscore as zscore,
)
from features.definitions.behaviour import aggregate as aggregate
from features.definitions.behaviour import burst as burst
from features.definitions.behaviour import count_by as count_by
from features.definitions.behaviour import decayed_count as decayed_count
from features.definitions.behaviour import decayed_mean as decayed_mean
from features.definitions.behaviour import decayed_sum as decayed_sum
from features.definitions.behaviour import distinct_sketch as distinct_sketch
from features.definitions.behaviour import entropy as entropy
from features.definitions.behaviour import gap_cv as gap_cv
from features.definitions.behaviour import gap_mean as gap_mean
from features.definitions.behaviour import last_k as last_k
from features.definitions.behaviour import pairs as pairs
from features.definitions.behaviour import quantile as quantile
from features.definitions.behaviour import runs as runs
from features.definitions.behaviour import speed as speed
from features.definitions.behaviour import top_k as top_k
from features.definitions.behaviour import trend as trend
from features.definitions.catalog import Catalog as Catalog
from features.definitions.catalog import load_catalog as load_catalog
from features.definitions.delayed import arrival_rate as arrival_rate
from features.definitions.delayed import cohort_rate as cohort_rate
from features.definitions.delayed import lag_corrected_rate as lag_corrected_rate
from features.definitions.entities import Entity as Entity
from features.definitions.expressions import case as case
from features.definitions.expressions import col as col
from features.definitions.expressions import likeness as likeness
from features.definitions.expressions import lit as lit
from features.definitions.freshness import DAILY as DAILY
from features.definitions.freshness import HOURLY as HOURLY
from features.definitions.freshness import EventFreshness as EventFreshness
from features.definitions.freshness import Schedule as Schedule
from features.definitions.graphs import Graph as Graph
from features.definitions.graphs import Relation as Relation
from features.definitions.metrics import RiskMetrics as RiskMetrics
from features.definitions.services import FeatureService as FeatureService
from features.definitions.services import Label as Label
from features.definitions.services import Policy as Policy
from features.definitions.services import Selection as Selection
from features.definitions.sources import Field as Field
from features.definitions.sources import Source as Source
from features.definitions.sources import fields as fields
from features.definitions.views import FeatureView as FeatureView
from features.definitions.views import flat as flat
from features.definitions.windows import EVER as EVER
from features.definitions.windows import Window as Window

__all__ = [
    "DAILY", "EVER", "HOURLY", "Catalog", "Entity", "EventFreshness", "FeatureService", "FeatureView", "Field", "Graph", "Label",
    "Policy", "Relation", "RiskMetrics", "Schedule", "Selection", "Source", "Window", "aggregate", "anomaly", "arrival_rate", "attribute", "burst", "case", "cohort_rate", "col", "count",
    "count_by", "decayed_count", "decayed_mean", "decayed_sum", "difference", "distinct", "distinct_sketch", "entropy", "fields", "first", "flat",
    "gap_cv", "gap_mean", "lag_corrected_rate", "last", "last_k", "likeness", "lit", "load_catalog", "max_", "mean", "min_", "pairs", "quantile", "ratio", "requested", "runs",
    "speed", "std", "sum_", "time_since_first", "time_since_last", "top_k", "trend", "velocity", "zscore",
]  # fmt: skip
