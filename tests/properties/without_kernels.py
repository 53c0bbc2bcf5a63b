"""The engine as it would be if it had no kernel for any aggregation: every one is folded by its own functions."""

from dataclasses import replace

import pytest

from features.definitions.aggregations import AGGREGATIONS
from features.values import sweep

__all__ = ["without_kernels"]


def without_kernels(patch: pytest.MonkeyPatch) -> None:
    """The sweep's dispatch alone is told; nothing else of an aggregation changes."""
    patch.setattr(sweep, "AGGREGATIONS", {name: replace(item, kernel=False) for name, item in AGGREGATIONS.items()})
