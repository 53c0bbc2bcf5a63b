"""All aggregations by name. A file of this folder that holds an `Aggregation` adds it: nothing else has to know."""

import pkgutil
from importlib import import_module
from types import MappingProxyType

from features.definitions.aggregations.aggregation import Aggregation as Aggregation

__all__ = ["AGGREGATIONS", "Aggregation"]


def _found() -> dict[str, Aggregation]:
    modules = [import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
    held = [value for module in modules for value in vars(module).values() if isinstance(value, Aggregation)]
    return {item.name: item for item in sorted(held, key=lambda item: item.name)}


AGGREGATIONS = MappingProxyType(_found())
"""Sorted by name."""
