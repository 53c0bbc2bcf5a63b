"""What a model rests on is what it misses when shuffled."""

import numpy as np
import pyarrow as pa

from jobs.metrics import recall_at, rows_of
from jobs.report.carried import Carrying, carried
from jobs.report.models import Inputs, fitted
from tests.jobs.report.payments import START


def test_the_view_that_tells_is_named_with_its_feature_and_nothing_is_left_shuffled() -> None:
    rng, count = np.random.default_rng(0), 600
    fraud = rng.random(count) < 0.1
    values = np.stack(
        [rng.normal(0, 1, count), np.where(fraud, 3.0, 0.0) + rng.normal(0, 0.5, count), np.ones(count)], axis=1
    )
    time = pa.array(START + np.arange(count)).cast(pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "event_timestamp": time,
            "cluster": [f"a{n // 2}" for n in range(count)],
            "label": pa.array(fraud.astype(np.int8)),
        }
    )
    names = ("noise__a", "view__b", "view__c")
    of = Carrying(
        trees=fitted(values, fraud, np.ones(count), 0), inputs=Inputs(names=names, values=values.copy()), rows=rows_of(table, entity="cluster"),
        metric=recall_at(int(fraud.sum()), by="count"), samples=50, seed=0,
    )  # fmt: skip
    found = carried(of, {"noise": ["noise__a"], "view": ["view__b", "view__c"]})
    assert next(name for name, *_ in found["views"]) == "view"
    assert next(name for name, *_ in found["features"]) == "view__b"
    assert "view__c" not in [name for name, *_ in found["features"]]  # it is the same everywhere
    _, loss, low, high = found["views"][0]
    assert isinstance(loss, float)
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 0.5 < low <= loss <= high <= 1
    assert np.array_equal(of.inputs.values, values)
