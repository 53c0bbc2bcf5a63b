"""Train and test: out of time with an embargo, apart by entity, or both. Arrow and numpy, no Spark. Instants are microseconds UTC."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.durations import duration, duration_text
from features.definitions.names import micros, utc
from features.errors import InputError
from features.values.sampling import placed

__all__ = ["EMBARGO", "SPLIT", "TEST", "TRAIN", "Split", "parse_split", "split_rows"]

SPLIT = "asof_split"
"""The column that says train, test or embargo."""

PARTS = TRAIN, TEST, EMBARGO = "train", "test", "embargo"
_HOW = "Write train_end=INSTANT, embargo=DURATION, entity=COLUMN, test=SHARE or seed=NUMBER, for instance train_end=2026-03-01 or entity=card_id with test=0.2."


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """By time, by entity, or both; then a row is in a part that both put it in, and else in none (`embargo`)."""

    train_end: int | None = None
    """Train: events before this. None: time does not matter."""

    embargo: int = 0
    """Test: events this long after `train_end` or later; between the two an event is in neither. At least the label's horizon: what is
    known of train's labels is then known before test begins."""

    entity: tuple[str, ...] = ()
    """Columns of the entity, all of whose events are in one part; a row with a null among them is put by its own id. Empty: no entity matters."""

    test: float = 0.2
    """The share of entities that are test, in (0, 1)."""

    seed: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """As `parse_split` reads it, each part said."""
        time = (
            ()
            if self.train_end is None
            else (
                f"train_end={utc(self.train_end).isoformat()}",
                f"embargo={duration_text(self.embargo) if self.embargo else '0'}",
            )
        )
        entity = (f"entity={','.join(self.entity)}", f"test={self.test!r}", f"seed={self.seed}") if self.entity else ()
        return (*time, *entity)


def parse_split(texts: Sequence[str], horizon: int) -> Split | None:
    """`train_end=2026-03-01`, `embargo=60d`, `entity=card_id`, `test=0.2`, `seed=7`, each as one text; None for no text.

    Args:
        texts: what is said.
        horizon: of the label, in microseconds: the embargo where none is said, and the least there is.

    Raises:
        InputError: a text is none of these, says something again or what has no effect, or leaves less embargo than the horizon.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name in given:
            msg = f"--split {text} says {name} again. Say it once."
            raise InputError(msg)
        given[name] = value
    if not given:
        return None
    _refuse_idle(given)
    read = {"train_end": _instant, "embargo": _embargo, "entity": _columns, "test": _share, "seed": _seed}
    made: dict[str, object] = {}
    for name, value in given.items():
        if name not in read:
            raise _wrong(name, value)
        made[name] = read[name](name, value)
    if "train_end" in made:
        made.setdefault("embargo", horizon)
    split = Split(**made)  # type: ignore[arg-type]
    if split.train_end is not None and split.embargo < horizon:
        msg = (
            f"--split embargo={given['embargo']} is shorter than the label's horizon, {duration_text(horizon)}: train's labels would hold what "
            "became known while test's events happened. Leave it away, or give a longer one."
        )
        raise InputError(msg)
    return split


def _refuse_idle(given: dict[str, str]) -> None:
    for name, needs in (("embargo", "train_end"), ("test", "entity"), ("seed", "entity")):
        if name in given and needs not in given:
            msg = f"--split {name}={given[name]} has no effect without {needs}=…. Add it, or leave {name} away."
            raise InputError(msg)


def _wrong(name: str, value: str) -> InputError:
    return InputError(f"--split {name}{'=' * bool(value)}{value} is not understood. {_HOW}")


def _instant(name: str, value: str) -> int:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise _wrong(name, value) from None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        found = found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        msg = f"--split {name}={value} has no zone, so it names no instant. Write {value}Z if it is UTC, or its offset."
        raise InputError(msg)
    return micros(found)


def _embargo(name: str, value: str) -> int:
    try:
        return duration(value)
    except ValueError as error:
        msg = f"--split {name}={value}: {error}"
        raise InputError(msg) from None


def _columns(name: str, value: str) -> tuple[str, ...]:
    if not all(value.split(",")):
        raise _wrong(name, value)
    return tuple(value.split(","))


def _share(name: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        raise _wrong(name, value) from None
    if not 0 < share < 1:
        msg = f"--split {name}={value}: the share of test is in (0, 1), or one of the parts has no rows."
        raise InputError(msg)
    return share


def _seed(name: str, value: str) -> int:
    if not re.fullmatch(r"\d+", value):
        raise _wrong(name, value)
    return int(value)


def split_rows(split: Split, rows: pa.Table, event_id: str) -> pa.Table:
    """The rows with the column `asof_split`.

    Args:
        split: how.
        rows: with `event_timestamp`, `label`, `label_mature` and the columns of the entity.
        event_id: the column of the events' ids.

    Raises:
        InputError: train or test has no row with a mature label.
    """
    part = np.full(len(rows), -1, np.int64)
    if split.train_end is not None:
        part = _by_time(split.train_end, split.embargo, rows)
    if split.entity:
        by_entity = _by_entity(split, rows, event_id)
        part = by_entity if split.train_end is None else np.where(part == by_entity, part, 2)
    made = rows.append_column(
        SPLIT, pa.DictionaryArray.from_arrays(part.astype(np.int8), list(PARTS)).cast(pa.string())
    )
    _refuse_empty(split, made, part)
    return made


def _by_time(train_end: int, embargo: int, rows: pa.Table) -> np.ndarray:
    happened = rows["event_timestamp"].cast(pa.int64()).to_numpy()
    return np.select([happened < train_end, happened >= train_end + embargo], [0, 1], default=2)


def _by_entity(split: Split, rows: pa.Table, event_id: str) -> np.ndarray:
    columns = [pc.fill_null(rows[name].cast(pa.string()), "") for name in split.entity]
    keys = columns[0]
    for column in columns[1:]:  # each with its length before it, so that ("1", "23") is not ("12", "3")
        sizes = pc.binary_length(keys).cast(pa.string())
        keys = pc.binary_join_element_wise(sizes, keys, column, ":")
    null = np.logical_or.reduce(
        [np.asarray(rows[name].is_null().to_numpy(zero_copy_only=False)) for name in split.entity]
    )
    place = np.where(null, placed(rows[event_id], split.seed, "split of events"), placed(keys, split.seed, "split"))
    return (place < split.test).astype(np.int64)


def _refuse_empty(split: Split, rows: pa.Table, part: np.ndarray) -> None:
    labelled = np.asarray(pc.and_(rows["label"].is_valid(), rows["label_mature"]).to_numpy(zero_copy_only=False))
    counts = np.bincount(part[labelled], minlength=3)
    empty = [name for name, count in zip((TRAIN, TEST), counts, strict=False) if not count]
    if not empty:
        return
    where = ""
    if split.train_end is not None:
        where = f" Train ends before {utc(split.train_end).isoformat()}, and test begins at {utc(split.train_end + split.embargo).isoformat()}."
    edges = pc.min_max(rows["event_timestamp"].cast(pa.int64()).filter(pa.array(labelled))).as_py()
    span = (
        "" if edges["min"] is None else f" between {utc(edges['min']).isoformat()} and {utc(edges['max']).isoformat()}"
    )
    msg = (
        f"The split leaves no rows with a mature label for {' and '.join(empty)}: of {int(labelled.sum())} such events{span}, {counts[0]} are train, {counts[1]} test and "
        f"{counts[2]} in neither.{where} Move train_end, take a longer span of events, another share of entities, or a later --as-of."
    )
    raise InputError(msg)
