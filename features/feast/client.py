"""What a stock Feast client says."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from feast import FeatureStore

__all__ = ["client_answers"]


def client_answers(
    folder: str, features: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, Sequence[Any]]:
    """`FeatureStore(folder).get_online_features(features, rows, full_feature_names=True).to_dict()`, without Feast's warnings of its own alpha parts.

    Args:
        folder: a repository that `asof apply` wrote.
        features: `view:feature`.
        rows: an entity each, by its key columns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store: Any = FeatureStore(repo_path=folder)
        found: Mapping[str, Sequence[Any]] = store.get_online_features([*features], [dict(row) for row in rows], full_feature_names=True).to_dict()  # fmt: skip
    return found
