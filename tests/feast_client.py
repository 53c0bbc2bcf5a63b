"""Feast's own client, as a team has it that does not install Asof: its own online store over the same file or server."""

from pathlib import Path

import yaml
from feast import FeatureStore, RepoConfig

__all__ = ["own_client"]


def own_client(repository: Path) -> FeatureStore:
    """Over a repository that `asof apply` wrote."""
    config = yaml.safe_load((repository / "feature_store.yaml").read_text())
    online = config["online_store"] | {"type": "redis" if "connection_string" in config["online_store"] else "sqlite"}
    del config["batch_engine"]
    return FeatureStore(config=RepoConfig(**(config | {"online_store": online})))
