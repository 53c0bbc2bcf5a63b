"""What a stock Feast client says."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from feast import FeatureStore

__all__ = ["Client"]


class Client:
    """One of a repository that `asof apply` wrote, which is kept, as a service keeps it."""

    def __init__(self, folder: str) -> None:
        """`FeatureStore(folder)`."""
        self._store: Any = FeatureStore(repo_path=folder)

    def answers(self, features: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
        """`get_online_features(features, rows, full_feature_names=True).to_dict()`, without Feast's warnings of its own alpha parts.

        Args:
            features: `view:feature`.
            rows: an entity each, by its key columns.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Mapping[str, Sequence[Any]] = self._store.get_online_features(
                [*features], [dict(row) for row in rows], full_feature_names=True
            ).to_dict()
        return found
