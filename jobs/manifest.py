"""What a frame was made from, as JSON beside it: enough to make the same bytes again, or to say which input has changed. No Spark."""

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.definitions.catalog import Catalog
from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.definitions.names import micros, utc
from features.definitions.services import FeatureService, Label
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import ledger
from jobs.files import read_record, write_record

__all__ = [
    "Manifest", "Snapshots", "befores_of", "definition", "definitions_of", "environment", "manifest_path", "newer_definitions", "read_manifest", "sha256",
    "snapshots", "source_changes", "write_manifest",
]  # fmt: skip

Manifest = Mapping[str, Any]
Snapshots = dict[str, dict[str, Any]]
"""Source to `before` (what is known from then on was not read) and `partitions`: ds to what tells its rows, and when they are known."""

_PARTS = ("pyarrow", "numpy", "numba", "pyspark")
_ROOT = Path(__file__).resolve().parents[1]


def manifest_path(out: str | Path) -> str:
    """Beside the frame: `frame.parquet.manifest.json`."""
    return f"{out}.manifest.json"


def environment() -> dict[str, str]:
    """Versions of what the bytes of a frame depend on; Asof's own with a hash of its code."""
    own = hashlib.sha256()
    for file in sorted(path for room in ("features", "jobs") for path in (_ROOT / room).rglob("*.py")):
        own.update(file.read_bytes())
    asof = f"{version('asof')}+{own.hexdigest()[:12]}"
    return {"python": platform.python_version(), "asof": asof, **{name: version(name) for name in _PARTS}}


def sha256(path: str | Path) -> str:
    """Of a file's bytes, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def snapshots(settings: Settings, befores: Iterable[tuple[str, int]]) -> Snapshots:
    """What the ledger says of the partitions of sources, by the name that ingests them, before an instant in microseconds UTC; of several the latest."""
    latest: dict[str, int] = {}
    for name, before in befores:
        latest[name] = max(before, latest.get(name, before))
    return {name: _snapshot(settings, name, before) for name, before in sorted(latest.items())}


def befores_of(sources: Snapshots) -> list[tuple[str, int]]:
    """What `snapshots` takes, to see what is there of the same today."""
    return [(name, micros(datetime.fromisoformat(item["before"]))) for name, item in sources.items()]


def _snapshot(settings: Settings, source: str, before: int) -> dict[str, Any]:
    last = str((utc(before) - timedelta(microseconds=1)).date())
    found = [item for item in ledger.partitions(settings, source) if item.ds <= last]
    return {"before": utc(before).isoformat(), "partitions": {item.ds: _identity(item) for item in found}}


def _identity(item: ledger.Partition) -> dict[str, Any]:
    """What says that the same is known of a partition; its ingest where its rows were not hashed."""
    rows = {"content": item.content} if item.content is not None else {"ingested_at": item.ingested_at}
    told = {"held": item.held, "released_at": item.released_at, "snapshot_at": item.snapshot_at, "whole": item.whole}
    return {"rows": item.rows, **rows, **{name: value for name, value in told.items() if value not in (None, False)}}


def source_changes(then: Snapshots, now: Snapshots) -> list[str]:
    """A sentence for each partition of which something else is known now."""
    found = []
    for source, snapshot in then.items():
        before, after = snapshot["partitions"], now.get(source, {"partitions": {}})["partitions"]
        last = max(before, default="")
        differ = sorted(ds for ds in {*before, *after} if ds <= last and before.get(ds) != after.get(ds))
        found += [f"source {source}, partition {ds}: {_difference(before.get(ds), after.get(ds))}" for ds in differ]
    return found


def _difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None:
        return "was not there"
    if after is None:
        return "is not there any more"
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return ", ".join(f"{name} was {before.get(name)}, is {after.get(name)}" for name in names)


def definition(made: object) -> dict[str, Any]:
    """Its hash and all of it, as `load_definition` reads it back."""
    return {"hash": hash_of(made), "definition": compile_definition(made)}


def write_manifest(
    out: str, service: FeatureService, views: Sequence[FeatureView], asks: Mapping[str, Any], sources: Snapshots
) -> None:
    """Says what the frame `out` was made from; the last thing that is written of a frame."""
    file = pq.ParquetFile(out)
    record = {
        "frame": {
            "rows": file.metadata.num_rows, "sha256": sha256(out), "columns": {field.name: str(field.type) for field in file.schema_arrow},
        },
        "service": {"name": service.name, **definition(service)},
        "views": {view.name: definition(view) for view in views},
        "asks": asks,
        "sources": sources,
        "environment": environment(),
    }  # fmt: skip
    file.close()
    write_record(manifest_path(out), record)


def read_manifest(path: str) -> Manifest:
    """A manifest that `write_manifest` wrote.

    Raises:
        MissingError: there is none.
        InputError: the file is something else.
    """
    found = read_record(path)
    if found is None:
        msg = f"There is no manifest {path}. A frame's is beside it: FRAME.manifest.json."
        raise MissingError(msg)
    if missing := sorted({"frame", "service", "views", "asks", "sources", "environment"} - set(found)):
        msg = f"{path} is no manifest of a frame: it lacks {', '.join(missing)}. Name the file that was written beside the frame."
        raise InputError(msg)
    return found


def definitions_of(path: str, manifest: Manifest) -> tuple[Catalog, FeatureService, Label | None]:
    """The definitions that the manifest holds; what the catalogue says today does not matter.

    Raises:
        InputError: a definition does not have the hash that stands beside it.
    """
    views = tuple(_loaded(path, f"view {name}", item, FeatureView) for name, item in manifest["views"].items())
    service = _loaded(path, f"service {manifest['service']['name']}", manifest["service"], FeatureService)
    asks = manifest["asks"]
    label = _loaded(path, f"label {asks['label']['name']}", asks["label"], Label) if "label" in asks else None
    return Catalog(views=views, services=(service,), labels=(label,) if label else ()), service, label


def _loaded(path: str, what: str, item: Mapping[str, Any], kind: type[Any]) -> Any:  # noqa: ANN401 - of that kind
    made = load_definition(item["definition"], kind)
    if hash_of(made) != item["hash"]:
        msg = (
            f"The manifest {path} has been changed, or Asof has: its definition of {what} has the hash {hash_of(made)}, and beside it stands {item['hash']}. "
            "Take the manifest as it was written, and the version of Asof that it names."
        )
        raise InputError(msg)
    return made


def newer_definitions(manifest: Manifest, catalog: Catalog) -> list[str]:
    """A sentence for each definition that the catalogue says differently today."""
    kinds: list[tuple[str, Mapping[str, Any], Iterable[FeatureView | FeatureService | Label]]] = [
        ("view", manifest["views"], catalog.views),
        ("service", {manifest["service"]["name"]: manifest["service"]}, catalog.services),
    ]
    if "label" in manifest["asks"]:
        kinds.append(("label", {manifest["asks"]["label"]["name"]: manifest["asks"]["label"]}, catalog.labels))
    found = []
    for kind, then, now in kinds:
        hashes = {item.name: hash_of(item) for item in now}
        found += [
            f"{kind} {name} had the hash {item['hash']}, the catalogue's has {hashes.get(name, 'none')}"
            for name, item in then.items()
            if hashes.get(name) != item["hash"]
        ]
    return found
