"""A frame that is audited: its file, what its manifest says of it, and its labels. Columns are read one at a time. No Spark."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions.catalog import Catalog
from features.definitions.services import FeatureService, Label
from features.definitions.views import FeatureView
from features.errors import InputError, MissingError
from features.values.splits import SPLIT
from features.values.sweep import ARROW_TYPES
from jobs.findings import Finding
from jobs.labels import EVENT_TIMESTAMP
from jobs.manifest import Manifest, definitions_of, manifest_path, read_manifest, sha256
from jobs.shuffled import Parts, by_time

__all__ = ["AuditedFrame", "Targets", "opened", "targets", "written_as_told"]

Array = np.ndarray
_TARGET = "label"
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedFrame:
    """A frame and its manifest."""

    path: str
    manifest: Manifest
    catalog: Catalog
    """The manifest's own definitions."""

    service: FeatureService
    label: Label | None
    """None: the frame is of a label file."""

    rows: int
    columns: tuple[str, ...]

    @property
    def chosen(self) -> tuple[tuple[FeatureView, Sequence[str]], ...]:
        """Views and those of their features that the service takes."""
        return tuple(self.catalog.views_of(self.service))

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of features, as `view__feature`."""
        return tuple(f"{view.name}__{name}" for view, names in self.chosen for name in names)

    @property
    def keys(self) -> tuple[str, ...]:
        """Key columns of all views, each once."""
        return tuple(dict.fromkeys(name for view, _ in self.chosen for name in view.keys))

    def label_known_at(self) -> Array | None:
        """Since when each row's label was known, microseconds UTC, the largest int64 where that is null; None where no column of instants in UTC says so."""
        name = "label_known_at"
        if name not in self.columns or (column := self.column(name)).type != ARROW_TYPES["timestamp"]:
            return None
        return np.asarray(pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).max).to_numpy())

    def instants(self) -> Array:
        """Of each row, microseconds UTC."""
        return np.asarray(self.column(EVENT_TIMESTAMP).cast(pa.int64()).to_numpy())

    def column(self, name: str) -> pa.Array:
        """All rows of a column."""
        return pq.read_table(self.path, columns=[name])[name].combine_chunks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Which rows have a label to learn from."""

    rows: Array
    """Row numbers, ascending."""

    positive: Array
    """A boolean for each of them."""

    parts: Parts
    """Of those rows."""


def opened(path: str) -> AuditedFrame:
    """A frame by the path of its file.

    Raises:
        MissingError: there is no such file, or no manifest beside it.
        InputError: the file is no Parquet, the manifest none of a frame, or the file lacks columns that the manifest names.
    """
    if not Path(path).is_file():
        msg = f"There is no frame {path}. Name the Parquet file that `asof frame --out` wrote."
        raise MissingError(msg)
    beside = manifest_path(path)
    manifest = read_manifest(beside)
    catalog, service, label = definitions_of(beside, manifest)
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        msg = f"{path} is no Parquet file: {error}. Name the file that `asof frame --out` wrote, not its manifest."
        raise InputError(msg) from error
    there, rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    file.close()
    if missing := [name for name in manifest["frame"]["columns"] if name not in there]:
        msg = f"The frame {path} has no column {', '.join(missing[:_SHOWN])}, which its manifest names. It was written anew: make it again from {beside}."
        raise InputError(msg)
    return AuditedFrame(
        path=path, manifest=manifest, catalog=catalog, service=service, label=label, rows=rows, columns=there
    )  # fmt: skip


def written_as_told(frame: AuditedFrame) -> list[Finding]:
    """Whether the file's bytes are those that the manifest was written for."""
    then, now = frame.manifest["frame"]["sha256"], sha256(frame.path)
    if then == now:
        return []
    says = (
        f"the file was changed after its manifest was written: its sha256 is {now[:12]}…, the manifest says {then[:12]}…. "
        f"What follows is of the file as it is; make it again with `asof frame --from-manifest {manifest_path(frame.path)}`."
    )
    return [Finding(check="manifest", severity="leak", name=Path(frame.path).name, says=says)]


def targets(frame: AuditedFrame, target: str | None, split: str | None) -> Targets | None:
    """Rows with a mature label, and how they are parted; None where the frame has no column `label` and no other was named.

    Args:
        frame: the frame.
        target: the column of labels: 1, 0 or null, or booleans. None: `label`, if it is there.
        split: the column that says train and test. None: `asof_split`, and else the last 30% by time are test.

    Raises:
        MissingError: a named column is not there.
        InputError: a label is neither 0 nor 1, or no row is of train or of test.
    """
    for option, name in (("--target", target), ("--split", split)):
        if name is not None and name not in frame.columns:
            raise MissingError.of(f"column of {frame.path}", name, frame.columns, f"{option} names it.")
    name = target or _TARGET
    if name not in frame.columns:
        return None
    labels = _labels(frame, name)
    usable = ~np.isnan(labels)
    if "label_mature" in frame.columns and target in {None, _TARGET}:
        usable &= np.asarray(pc.fill_null(frame.column("label_mature"), False).to_numpy(zero_copy_only=False))
    rows = np.flatnonzero(usable)
    return Targets(rows=rows, positive=labels[rows] == 1, parts=_parts(frame, rows, split))


def _labels(frame: AuditedFrame, name: str) -> Array:
    column = frame.column(name)
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        msg = f"The labels {name} of {frame.path} are {column.type}. They must be 1, 0 or null, or booleans; --target names another column."
        raise InputError(msg)
    made = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    if len(wrong := np.unique(made[~np.isnan(made) & (made != 0) & (made != 1)])):
        shown = ", ".join(f"{value:g}" for value in wrong[:_SHOWN])
        msg = f"The labels {name} of {frame.path} hold {shown}. They must be 1, 0 or null, or booleans; --target names another column."
        raise InputError(msg)
    return made


def _parts(frame: AuditedFrame, rows: Array, split: str | None) -> Parts:
    name = split or SPLIT
    if name not in frame.columns:
        return by_time(frame.instants()[rows])
    said = frame.column(name)
    if not (pa.types.is_string(said.type) or pa.types.is_large_string(said.type)):
        msg = f"The column {name} of {frame.path} is {said.type}. It must say train and test; --split names another column."
        raise InputError(msg)
    train, test = (
        np.asarray(pc.fill_null(pc.equal(said, part), False).to_numpy(zero_copy_only=False))[rows]
        for part in ("train", "test")
    )
    if len(rows) and not (train.any() and test.any()):
        here = ", ".join(map(repr, pc.unique(said).to_pylist()[:_SHOWN]))
        msg = f"The column {name} of {frame.path} puts no row with a mature label into {'test' if train.any() else 'train'}: it says {here}. It must say train and test."
        raise InputError(msg)
    return Parts(train=train, test=test, how=f"the column {name} says so")
