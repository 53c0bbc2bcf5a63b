"""Proof of parity: sampled keys are looked up online and computed anew through the frame's path, at several instants. Equal to the bit.

The reader is asked for all of them, the HTTP service and Feast's client for some of the same; each is asked for a few once more, one key a lookup, as who serves a checkout asks. Half of the keys come from what is published, half from the sources' rows, so that a key that was lost on the way is missed; and as many keys are
published and online as were computed.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from features.definitions.catalog import Catalog
from features.definitions.durations import DAY
from features.definitions.features import Aggregate
from features.definitions.freshness import EventFreshness
from features.definitions.names import cut_text, micros, status_column, utc, view_table
from features.definitions.requests import request_fields
from features.definitions.views import FeatureView
from features.errors import MissingError, ParityError
from features.settings import Settings
from features.store.reads import Question
from features.store.stores import open_store
from features.store.tails import tail_source
from features.values.partition import EntityViews, entity_views
from features.values.sweep import ARROW_TYPES
from jobs import ledger, tables
from jobs.commands import PROVE_KEYS, Prove, Through
from jobs.doors import Brought, Door, Key, opened
from jobs.drawing import Places, drawn, requests
from jobs.files import parquet_files, read_record, rows_of
from jobs.frame import collected
from jobs.proofs import PROOF_COLUMNS, PROOFS, add_to_history, record_proof
from jobs.session import spark as session
from jobs.stages import say, side_by_side, stage_views

__all__ = ["Proof", "prove", "run"]

_BESIDE = 25
"""Of these about so many that doors other than the reader are asked for."""
_ALONE = 8
"""Of these about so many that are asked for one by one: what is known of a first lookup is made use of by the ones after it."""
_SHOWN = 5
_WHERE = {Through.READER: "online", Through.SERVICE: "from the service", Through.FEAST: "from Feast"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was compared."""

    compared: int
    """Values, statuses apart."""

    different: int
    informative: int
    """Neither 0 nor null."""

    keys: int
    instants: int
    """Asked for each key."""

    examples: tuple[str, ...] = ()


def run(command: Prove, settings: Settings) -> int:
    """Proves every view of the cut that the online store serves.

    Raises:
        ParityError: a value or a status differs; the message shows the first few.
        MissingError: none of the views is online at this cut.
    """
    catalog, views, cut = stage_views(command, settings)
    spark = session(settings, "prove")
    places = _places(spark, views, cut)
    online = tuple(view for view in views if places[view.name] is not None)
    if not online:
        msg = f"No view of the cut {cut_text(cut)} is published, so there is nothing to prove. Publish and materialize it first."
        raise MissingError(msg)
    with opened(command.through, settings, catalog) as doors:
        for name in command.through:
            if name not in doors:
                say(
                    f"Not asked through {name}: Feast's repository {settings.feast} is not there. `asof apply` writes it."
                )
        proof = prove(spark, settings, catalog, online, cut, keys=command.keys, places=places, doors=doors)
    found = {name: getattr(proof, name) for name in Proof.__slots__}
    record_proof(settings, cut, found)
    add_to_history(settings, cut, micros(settings.now()), [view.name for view in online], found)
    tables.ensure_files(spark, settings, PROOFS, PROOF_COLUMNS)
    say(
        f"{proof.compared} values of {proof.keys} keys at {proof.instants} instants each compared through {', '.join(doors)}, {proof.different} different; "
        f"{proof.informative / max(proof.compared, 1):.0%} neither 0 nor null."
    )
    if proof.different:
        shown = "\n  ".join(proof.examples)
        msg = (
            f"{proof.different} difference(s) in {proof.compared} values between lookup and frame at cut {cut_text(cut)}:\n  {shown}\n"
            f"Do not serve these views: compute and materialize the cut anew, and if it stays so, report it with this text."
        )
        raise ParityError(msg)
    return 0


def prove(  # noqa: PLR0913 - what is proven, and three bounds
    spark: SparkSession,
    settings: Settings,
    catalog: Catalog,
    views: tuple[FeatureView, ...],
    cut: int,
    *,
    keys: int = PROVE_KEYS,
    places: Places | None = None,
    doors: Mapping[Through, Door] | None = None,
) -> Proof:
    """Compares lookups with frames for keys of every entity at the edges of the cut's time and within it, and counts keys of every view.

    `places`: where the views' rows of the cut lie, where that is known already. `doors`: None: the reader alone.
    """
    if doors is None:
        with opened((Through.READER,), settings, catalog) as made:
            return prove(spark, settings, catalog, views, cut, keys=keys, places=places, doors=made)
    places = _places(spark, views, cut) if places is None else places
    missing = [line for view in views for line in _miscounted(settings, view, cut, places[view.name] or "")]
    total = Proof(
        compared=0, different=len(missing), informative=0, keys=0, instants=0, examples=tuple(missing[:_SHOWN])
    )
    work = partial(_prove_entity, spark, settings, doors=doors, cut=cut, keys=keys, places=places)
    for found in side_by_side(work, _groups(views)):
        total = Proof(
            compared=total.compared + found.compared, different=total.different + found.different,
            informative=total.informative + found.informative, keys=total.keys + found.keys, instants=max(total.instants, found.instants),
            examples=(*total.examples, *found.examples)[:_SHOWN],
        )  # fmt: skip
    return total


def _places(spark: SparkSession, views: Sequence[FeatureView], cut: int) -> Places:
    named = side_by_side(lambda view: tables.location(spark, view_table(view), "cut", cut_text(cut)), views)
    return dict(zip((view.name for view in views), named, strict=True))


def _groups(views: tuple[FeatureView, ...]) -> list[EntityViews]:
    """By entity and freshness: only views of one schedule serve a cut at the same instants."""
    kinds = dict.fromkeys(view.freshness for view in views)
    return [group for each in kinds for group in entity_views(view for view in views if view.freshness == each)]


def _instants(group: EntityViews, cut: int) -> list[int]:
    """The first and the last instant at which the cut is served, one beside the first, and one between; where windows slide, edges of steps too."""
    view = group.views[0]
    begin = cut + view.schedule.lag_us
    end = begin + view.schedule.period_us
    made = {begin, begin + 1, begin + (end - begin) * 2 // 5, end - 1}
    if view.stateful:
        steps = {f.window.step_us for each in group.views for f in each.features if isinstance(f, Aggregate)} - {1}
        edges = {begin + (end - begin) * n // 5 // step * step for n, step in enumerate(sorted(steps)[-3:], 1)}
        made |= {edge + beside for edge in edges for beside in (-1, 0, 1)}
    return sorted(instant for instant in made if begin <= instant < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the online store and Hive both know of a stream."""

    known_before: int | None
    """Where nothing was pushed since the cut, the store knows no more than the cut; None: as much as the instant says."""

    until: int
    """No later instant can be compared."""


def _told(settings: Settings, group: EntityViews, cut: int) -> _Told:
    view, forever = group.views[0], micros(datetime.max.replace(tzinfo=UTC))
    if not isinstance(view.freshness, EventFreshness):
        return _Told(known_before=None, until=forever)
    store = open_store(settings, writable=False)
    try:
        question = Question(view=view.name, keys=(), states=True, at=cut, tail=tail_source(view))
        watermark = store.ask([question])[0].watermark
    finally:
        store.close()
    if watermark is None or watermark <= cut:
        return _Told(known_before=cut, until=forever)
    days = [partition.ds for partition in ledger.partitions(settings, view.source.ingested_by)]
    stored = micros(datetime.fromisoformat(max(days)).replace(tzinfo=UTC)) + DAY if days else 0
    return _Told(known_before=None, until=min(watermark, stored - 1) + view.freshness.lag_us)


def _prove_entity(
    spark: SparkSession, settings: Settings, group: EntityViews, doors: Mapping[Through, Door], cut: int, keys: int, places: Places
) -> Proof:  # fmt: skip
    told = _told(settings, group, cut)
    instants = [instant for instant in _instants(group, cut) if instant <= told.until]
    if not instants:
        names = ", ".join(view.name for view in group.views)
        say(
            f"{names}: the stream and Hive do not both reach {utc(cut).isoformat()} and the publish lag yet: nothing to compare."
        )
        return Proof(compared=0, different=0, informative=0, keys=0, instants=0)
    asked_keys = drawn(spark, settings, group, cut, keys, places)
    brought = requests(spark, settings, group, cut, asked_keys)
    asked = [(key, instant) for key in asked_keys for instant in instants]
    offline = dict(zip(asked, _computed(spark, settings, group, asked, told.known_before, brought), strict=True))
    compared = informative = 0
    differences: list[str] = []
    for name, door in doors.items():
        some = asked_keys if name is Through.READER else _some(asked_keys, _BESIDE)
        alone = _some(some, _ALONE)
        for instant in instants:
            seen = [door.look_up(group.views, some, [brought[key] for key in some], instant)]
            for views in _singly(group):
                fields = request_fields(views)
                own = [{name: value for name, value in brought[key].items() if name in fields} for key in alone]
                seen.append(door.look_up(views, alone, own, instant, at_once=1))
            for (key, view_name), (values, status) in chain.from_iterable(found.items() for found in seen):
                view = next(each for each in group.views if each.name == view_name)
                where = f"{_named(view, key)} at {utc(instant).isoformat()}"
                differences += _different(view, values, status, offline[key, instant], where, _WHERE[name])
                compared += len(values)
                informative += sum(value not in (0, None) for value in values.values())
    return Proof(
        compared=compared, different=len(differences), informative=informative, keys=len(asked_keys), instants=len(instants),
        examples=tuple(differences[:_SHOWN]),
    )  # fmt: skip


def _singly(group: EntityViews) -> Sequence[tuple[FeatureView, ...]]:
    """What is asked for together of one key: of states each view by itself, since one that takes more than counting keeps the others from being finished as one."""
    return [(view,) for view in group.views] if group.views[0].stateful else [group.views]


def _some(keys: Sequence[Key], count: int) -> Sequence[Key]:
    """About so many of all."""
    return keys[:: max(1, len(keys) // count)]


def _different(
    view: FeatureView, values: Mapping[str, Any], status: str, computed: Mapping[str, Any], where: str, seen: str
) -> Iterator[str]:  # fmt: skip
    """A sentence for each difference."""
    # A silent stream is stale online; a frame knows no streams.
    silent = status == "stale" and isinstance(view.freshness, EventFreshness)
    if status != computed[status_column(view)] and not silent:
        yield f"{view.name} {where}: status {status} {seen}, {computed[status_column(view)]} in the frame"
    for name, value in values.items():
        other = computed[f"{view.name}__{name}"]
        if not _same(value, other):
            yield f"{view.name}.{name} {where}: {value!r} {seen}, {other!r} in the frame"


def _miscounted(settings: Settings, view: FeatureView, cut: int, place: str) -> list[str]:
    """A sentence where fewer or more keys are published, or online, than were computed."""
    record = read_record(f"{place}/_finished.json") or {}
    published = rows_of(parquet_files(place))
    found = {"computed": record.get("rows"), "published": published}
    store = open_store(settings, writable=False)
    try:
        heads = store.generations(view.name) if view.stateful else (store.head(view.name),)
    finally:
        store.close()
    for head in heads:
        if head is not None and head.cut == cut:
            found["online"] = head.rows
    if len(set(found.values())) == 1:
        return []
    return [f"{view.name}: {', '.join(f'{rows} keys {where}' for where, rows in found.items())}"]


def _computed(
    spark: SparkSession,
    settings: Settings,
    group: EntityViews,
    asked: list[tuple[tuple[Any, ...], int]],
    known_before: int | None,
    brought: Mapping[tuple[Any, ...], Brought],
) -> list[dict[str, Any]]:
    kind = ARROW_TYPES[group.views[0].entity.type]
    keys = zip(*(key for key, _ in asked), strict=True)
    asks = {name: pa.array(column, kind) for name, column in zip(group.keys, keys, strict=True)}
    instants = [instant for _, instant in asked]
    rows = {"asof_row": pa.array(range(len(asked)), pa.int64()), "asof_time": pa.array(instants, pa.int64())}
    for column, name in group.request.items():
        kind = request_fields(group.views)[name]
        values = [
            brought[key].get(name, dict(zip(group.views[0].keys, key, strict=True)).get(name)) for key, _ in asked
        ]
        rows[column] = pa.array(values, pa.int64() if kind == "timestamp" else ARROW_TYPES[kind])
    # Of an event view the latest instant says what is known at all.
    latest = max(instants) if known_before is None else known_before - 1
    found = collected(spark, settings, group, pa.table({**asks, **rows}), earliest=min(instants), latest=latest)
    return [_micros(row) for row in found.to_pylist()]


def _micros(row: dict[str, Any]) -> dict[str, Any]:
    return {name: micros(value) if hasattr(value, "tzinfo") else value for name, value in row.items()}


def _same(left: object, right: object) -> bool:
    """Bit for bit: floats by their bytes, all else by type and value."""
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right) or (math.isnan(left) and math.isnan(right))
    return type(left) is type(right) and left == right


def _named(view: FeatureView, key: tuple[Any, ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(view.keys, key, strict=True))
