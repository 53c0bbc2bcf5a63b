"""A definition as canonical JSON and its hash, and back: what travels in tags and manifests, so that nobody computes from imported modules."""

import hashlib
import json
from dataclasses import fields as dataclass_fields
from typing import Any, TypeVar, cast

from features.definitions import (
    entities,
    expressions,
    features,
    freshness,
    graphs,
    metrics,
    services,
    sources,
    views,
    windows,
)

__all__ = ["canonical", "compile_definition", "hash_of", "load_definition"]

T = TypeVar("T")
_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        entities.Entity, sources.Field, sources.Enrich, sources.Source, graphs.Relation, graphs.Graph, windows.Window, freshness.Schedule, freshness.EventFreshness,
        features.Aggregate, features.CohortRate, features.ArrivalRate, features.LagCorrectedRate, features.Attribute, features.Requested, features.Ratio, features.Difference, features.Zscore,
        features.AnomalyScore, features.AnomalyReason,
        views.FeatureView, services.FeatureService, services.Selection, services.Policy, services.Label, metrics.RiskMetrics,
        expressions.Column, expressions.Value, expressions.Compare, expressions.Both, expressions.Either, expressions.Negation,
        expressions.Arithmetic, expressions.IsIn, expressions.IsNull, expressions.Prefix, expressions.Hour, expressions.Weekday,
        expressions.Case, expressions.Subnet, expressions.DigitShare, expressions.Likeness,
    )
}  # fmt: skip
_YES_ONLY = "include_self"
"""A field that is said where it is true: definitions of before it was there have the hash they had."""
_SILENT = {"where", "description", "owner", "tags", "tiles", "feast_layout", "silence", "policies"}
"""Fields that say nothing of a value; `where` of an aggregate is an expression and speaks."""


def compile_definition(definition: object, *, silent: bool = True) -> object:
    """As plain JSON data. `silent=False` leaves out what does not change any value: owner, description, tags, tiles, feast_layout, silence, policies, place."""
    if isinstance(definition, tuple | list):
        return [compile_definition(part, silent=silent) for part in definition]
    if type(definition).__name__ not in _CLASSES:
        return definition
    made: dict[str, object] = {"_": type(definition).__name__}
    for item in dataclass_fields(cast("Any", definition)):
        value = getattr(definition, item.name)
        place = item.name == "where" and isinstance(value, str)
        if item.name == _YES_ONLY and not value:
            continue
        if place or (not silent and item.name in _SILENT and not isinstance(value, expressions.Expression)):
            continue
        if (
            isinstance(definition, expressions.Expression)
            or isinstance(value, expressions.Expression)
            or value not in (None, ())
        ):
            made[item.name] = compile_definition(value, silent=silent)
    return made


def canonical(definition: object) -> str:
    """The JSON text that the hash is of: sorted keys, no spaces, only what a value depends on."""
    return json.dumps(compile_definition(definition, silent=False), sort_keys=True, separators=(",", ":"))


def hash_of(definition: object) -> str:
    """16 hexadecimal digits; equal if and only if the two give the same values by the same rules."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()[:16]


def load_definition(data: object, kind: type[T]) -> T:
    """The definition back from `compile_definition`'s data.

    Raises:
        TypeError: the data is of something else.
    """
    made = _load(data)
    if not isinstance(made, kind):
        msg = f"The compiled definition is of {type(made).__name__}, not of {kind.__name__}."
        raise TypeError(msg)
    return made


def _load(data: object) -> object:
    if isinstance(data, list):
        return tuple(_load(part) for part in data)
    if isinstance(data, dict):
        cls = _CLASSES[data["_"]]
        return cls(**{name: _load(value) for name, value in data.items() if name != "_"})
    return data
