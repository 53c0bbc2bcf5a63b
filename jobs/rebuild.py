"""A frame made again from its manifest: the same bytes, or which input has changed.

Definitions are the manifest's own, so the catalogue may have moved on. Sources, the label file and the frame's bytes must be what they were.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import micros
from features.definitions.services import Label
from features.errors import AsofError, InputError, ParityError
from features.settings import Settings
from features.values.sampling import parse_sampling
from features.values.splits import parse_split
from jobs.commands import Rebuild
from jobs.frame import frame
from jobs.labelled import LabelAsk, labelled_frame
from jobs.manifest import (
    Manifest,
    befores_of,
    definitions_of,
    environment,
    manifest_path,
    newer_definitions,
    read_manifest,
    sha256,
    snapshots,
    source_changes,
)
from jobs.outcomes import Span
from jobs.session import spark as session
from jobs.stages import say

__all__ = ["notes", "rebuild", "refuse_changes", "refuse_source_changes", "run"]

_SHOWN = 10


def run(command: Rebuild, settings: Settings) -> int:
    """Makes a frame again, and says what the catalogue and the environment have become since."""
    manifest = read_manifest(command.manifest)
    refuse_changes(settings, command.manifest, manifest, command.labels)  # said before Spark starts
    for sentence in notes(settings, manifest):
        say(sentence)
    rows = rebuild(session(settings, "frame"), settings, command.manifest, out=command.out, labels=command.labels)
    say(f"{rows} rows in {command.out}: the same bytes as the frame of {command.manifest}.")
    return 0


def notes(settings: Settings, manifest: Manifest) -> list[str]:
    """What differs today and is no input."""
    try:
        newer = newer_definitions(manifest, load_catalog(settings.catalog))
    except AsofError as error:
        newer = [f"the catalogue cannot be loaded ({str(error).splitlines()[0]})"]
    found = [f"Made with the manifest's definitions; since then {'; '.join(newer)}."] if newer else []
    return found + ([f"The environment has changed: {versions}."] if (versions := _versions(manifest)) else [])


def _versions(manifest: Manifest) -> str:
    now = environment()
    then: Mapping[str, str] = manifest["environment"]
    return ", ".join(f"{name} was {then[name]}, is {now.get(name)}" for name in then if then[name] != now.get(name))


def refuse_changes(settings: Settings, path: str, manifest: Manifest, labels: str | None = None) -> None:
    """Stops where an input is not what it was.

    Raises:
        InputError: source partitions, the label file or the manifest's own definitions have changed; all of them are named.
    """
    definitions_of(path, manifest)
    found = source_changes(manifest["sources"], snapshots(settings, befores_of(manifest["sources"])))
    if (file := manifest["asks"].get("file")) is not None:
        found += _file_changes(labels or file, manifest["asks"]["sha256"])
    elif labels is not None:
        msg = f"The frame of {path} has the events of a label as its rows, and no label file. Leave --labels away."
        raise InputError(msg)
    if found:
        msg = (
            f"The frame of {path} cannot be made again: {len(found)} input(s) changed since.{_listed(found)}\n"
            "Bring those back as they were, or make a new frame from what is there now."
        )
        raise InputError(msg)


def refuse_source_changes(settings: Settings, path: str, manifest: Manifest) -> None:
    """Stops where a frame's values cannot be computed again from the same rows.

    Raises:
        InputError: source partitions have changed; all of them are named.
    """
    if found := source_changes(manifest["sources"], snapshots(settings, befores_of(manifest["sources"]))):
        msg = (
            f"The frame of {path} cannot be audited: {len(found)} source partition(s) changed since it was made, so its values cannot be computed again.{_listed(found)}\n"
            "Bring those back as they were, or make a new frame from what is there now, and audit that."
        )
        raise InputError(msg)


def _listed(found: list[str]) -> str:
    return "".join(f"\n  {change}" for change in found[:_SHOWN]) + ("\n  …" if len(found) > _SHOWN else "")


def _file_changes(file: str, then: str) -> list[str]:
    if not Path(file).exists():
        return [f"label file {file}: is not there; if it moved, say where with --labels"]
    now = sha256(file)
    return [] if now == then else [f"label file {file}: sha256 was {then}, is {now}"]


def rebuild(spark: SparkSession, settings: Settings, path: str, *, out: str, labels: str | None = None) -> int:
    """Writes the frame of a manifest to `out`, and its manifest beside it, if the bytes are the same; gives the rows.

    Raises:
        MissingError: there is no such manifest.
        InputError: an input has changed.
        ParityError: the inputs are the same, and the bytes are not; nothing is written.
    """
    manifest = read_manifest(path)
    refuse_changes(settings, path, manifest, labels)
    catalog, service, label = definitions_of(path, manifest)
    target = Path(out)
    draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    beside = Path(manifest_path(draft))
    try:
        rows = _made(spark, settings, catalog, manifest, service.name, label, str(draft), labels)
        again = read_manifest(str(beside))
        if (now := again["frame"]["sha256"]) != (then := manifest["frame"]["sha256"]):
            raise ParityError(_unequal(path, manifest, again, then, now))
        Path(manifest_path(out)).unlink(missing_ok=True)
        draft.replace(target)
        beside.replace(manifest_path(out))
    finally:
        draft.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
    return rows


def _made(  # noqa: PLR0913, PLR0917 - what a frame is made of
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    manifest: Manifest,
    service: str,
    label: Label | None,
    out: str,
    labels: str | None,
) -> int:
    asks: Mapping[str, Any] = manifest["asks"]
    if label is None:
        return frame(spark, settings, catalog, labels=labels or asks["file"], service=service, out=out)
    start, end, as_of = (micros(datetime.fromisoformat(asks[name])) for name in ("start", "end", "as_of"))
    ask = LabelAsk(
        label=label, span=Span(start=start, end=end, as_of=as_of),
        sampling=parse_sampling(asks["sample"]), split=parse_split(asks["split"], label.horizon_us),
    )  # fmt: skip
    return int(labelled_frame(spark, settings, catalog, ask, service=service, out=out)["rows"])


def _unequal(path: str, manifest: Manifest, again: Manifest, then: str, now: str) -> str:
    where = "features"
    if "label" in manifest["asks"] and manifest["asks"]["sha256"] != again["asks"]["sha256"]:
        where = "rows and labels"
    versions = _versions(manifest)
    because = (
        f"the environment has changed: {versions}. Use that of the manifest"
        if versions
        else "the environment is the same, so this is a fault of Asof: keep the manifest and report it"
    )
    return f"The frame of {path} made again has other bytes, though no input changed: its {where} differ (sha256 {then} then, {now} now); {because}. Nothing was written."
