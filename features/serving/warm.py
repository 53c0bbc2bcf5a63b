"""Compiles, and imports, what lookups and pushes run, by running it once on a made-up row a view: the first request then takes no longer than the next.

What is compiled is kept beside its source (by numba), so `make env` runs this module: a service's first start takes a second, not half a minute.
"""

import sys
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from features.definitions.catalog import load_catalog
from features.definitions.expressions import ColumnType, Scalar
from features.definitions.views import FeatureView
from features.errors import AsofError
from features.serving.push import followed_by, pushed
from features.settings import load
from features.store.tails import rows_of, tail_of, tail_source
from features.store.values import ARROW
from features.values.fit import fit
from features.values.state.blocks import Block
from features.values.state.finish import finish
from features.values.state.plan import plan_of
from features.values.timeline import Asks

__all__ = ["warm"]

_SOME: dict[ColumnType, Scalar] = {"string": "some", "int64": 0, "float64": 0.0, "bool": False, "timestamp": 0}


def warm(views: Iterable[FeatureView]) -> None:
    """Nothing is read or written."""
    pa.array((0,), pa.int64())  # the first array that pyarrow makes imports pandas, if that is there
    for view in views:
        if view.stateful:
            _warm(view)


def _warm(view: FeatureView) -> None:
    source, now = view.source, np.zeros(1, np.int64)
    columns = {
        name: pa.array([_SOME[kind]], pa.int64() if kind == "timestamp" else None).cast(ARROW[kind])
        for name, kind in source.types.items()
    }
    tail = None
    if tail_source(view):
        rows = fit(source, pa.table(columns)).rows
        entries = [(0, event.entry) for event in pushed(followed_by(source, (view,)), rows) if event.entry]
        read = rows_of(source, entries)
        list(read.columns.values())  # they are made where somebody looks at them
        tail_of(view, read, 0)
        waiting = {name: columns[name] for name in plan_of(view).waiting_columns}
        tail = Block(key=now, time=now, since=now, columns=waiting)
    request = {name: columns[name] for name in view.request}
    finish(
        view, 0, [None], Asks(key=now, instant=now + 1), tail, request if view.request or view.include_self else None
    )


if __name__ == "__main__":
    try:
        warm(load_catalog(load().catalog).views)
    except AsofError as error:
        sys.exit(f"The catalogue's lookups are not compiled, and will be when they are first used: {error}")
    print("The catalogue's lookups are compiled.")  # noqa: T201
