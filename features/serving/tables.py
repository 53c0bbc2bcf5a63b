"""Answers for many keys as Arrow tables."""

from collections.abc import Sequence

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.serving.reader import Result
from features.store.values import ARROW, Cell

__all__ = ["table_of"]


def table_of(result: Result, catalog: Catalog) -> pa.Table:
    """The keys' columns, `view__feature` in the feature's own type, `view__asof_status`; a row a key, in the order asked."""
    views = [catalog.view(view.view) for view in result.views]
    kinds = {name: ARROW[view.entity.type] for view in views for name in view.keys}
    made = {name: pa.array([key[name] for key in result.keys], kind) for name, kind in kinds.items()}
    for view, found in zip(views, result.views, strict=True):
        for feature, cells in found.values.items():
            made[f"{found.view}__{feature}"] = _column(cells, ARROW[view.types[feature]])
        made[f"{found.view}__asof_status"] = pa.array(found.statuses)
    return pa.table(made)


def _column(cells: Sequence[Cell], kind: pa.DataType) -> pa.Array:
    return pa.array(cells, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(cells, kind)
