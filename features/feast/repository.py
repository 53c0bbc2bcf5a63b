"""The repository under `home/feast` that the `feast` command reads: its settings file, and a guard against its own apply."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from features.settings import Settings
from features.store.keys import PROJECT
from features.store.redis_cluster import hosts

__all__ = ["write_repository"]

_STORE = "features.feast.online.AsofOnlineStore"
_GUARD = '''"""Feast's own plan and apply import this file: the definitions are not here, and they would delete what they do not find."""

raise SystemExit("The definitions are in Asof's catalogue, not in this folder. Run `asof apply`; nothing was changed.")
'''


def write_repository(settings: Settings) -> Path:
    """Writes `feature_store.yaml` (mode 0600: it may hold passwords) and the guard; the folder."""
    folder = settings.feast
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "feature_store.yaml", yaml.safe_dump(_config(settings), sort_keys=False))
    _replace(folder / "definitions_are_elsewhere.py", _GUARD)
    return folder


def _config(settings: Settings) -> dict[str, object]:
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": _registry(settings),
        "online_store": _online_store(settings),
        "batch_engine": {"type": "features.feast.engine.AsofEngine"},
        "offline_store": {
            "type": "jobs.feast_offline.AsofOfflineStore",
            "spark_conf": _spark(settings),
            "settings": _own(settings),
        },
        "entity_key_serialization_version": 3,
    }


def _registry(settings: Settings) -> dict[str, object]:
    common: dict[str, object] = {
        "registry_type": "sql",
        "cache_ttl_seconds": 60,
        "serve_features_while_materializing": True,
    }
    if settings.registry.kind == "postgres" and settings.registry.url is not None:
        return common | {"path": settings.registry.url.get_secret_value()}
    # A second writer waits instead of failing after five seconds.
    return common | {
        "path": f"sqlite:///{settings.feast / 'registry.db'}",
        "sqlalchemy_config_kwargs": {"echo": False, "connect_args": {"timeout": 60}},
    }


def _online_store(settings: Settings) -> dict[str, object]:
    if settings.online.kind == "sqlite" or settings.online.url is None:
        return {"type": _STORE, "path": str(settings.online_db)}
    whole = settings.online.url.get_secret_value()
    url, one = urlsplit(whole), settings.online.kind == "redis"
    parts = hosts(whole) + ([f"db={url.path.strip('/') or 0}"] if one else [])  # a cluster has no numbered databases
    parts += [f"username={unquote(url.username)}"] if url.username else []
    parts += [f"password={unquote(url.password)}"] if url.password else []
    parts += ["ssl=true"] if url.scheme == "rediss" else []
    kind = {} if one else {"redis_type": "redis_cluster"}
    return {"type": _STORE, **kind, "connection_string": ",".join(parts)}


def _spark(settings: Settings) -> dict[str, str]:
    conf = {
        "spark.master": settings.spark.master,
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": settings.tables_root,
    }
    return conf | ({"spark.hadoop.hive.metastore.uris": settings.metastore.uri} if settings.metastore.uri else {})


def _own(settings: Settings) -> dict[str, Any]:
    """What the offline store must know of Asof to compute frames; no password is among it."""
    return settings.model_dump(
        mode="json", include={"home", "catalog", "tables", "spark", "metastore"}, exclude_defaults=True
    )


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
