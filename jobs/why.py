"""`asof why SERVICE.FEATURE key=…`: the rows behind one value and those that do not count, what of it was fitted from all keys, and what the online store says."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.expressions import columns_of
from features.definitions.features import Aggregate, Rate
from features.definitions.lineage import bases
from features.definitions.names import cut_text, micros, utc
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import AsofError, InputError, MissingError
from features.serving.keys import Keys
from features.serving.reader import Reader
from features.settings import Settings
from features.store.values import Cell
from features.values.fit_reasons import FitUse, fit_uses
from features.values.partition import entity_views, rows_of
from features.values.reasons import COUNTS, reasons
from features.values.requests import Request, own_events, with_asks
from features.values.sweep import STATUSES, sweep
from features.values.timeline import Asks, Rows, Timeline, anchors, timeline
from jobs.commands import Exit, Why
from jobs.fits import FITS, fits_at
from jobs.known import known_rows
from jobs.rows import passed
from jobs.session import spark as session
from jobs.source_files import travelling
from jobs.stages import say
from jobs.why_tiles import tiles_behind

__all__ = ["Question", "explained", "question", "run"]

_SHOWN = 50
_MOST = 1_000_000
"""Rows of one key that are brought here; more are refused, since a value of some of them would be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One feature of one key at an instant, in microseconds UTC."""

    service: str
    view: FeatureView
    feature: str
    key: dict[str, str | int | None]
    at: int
    request: Request = field(default_factory=dict)
    """What is brought beside the key."""


def run(command: Why, settings: Settings) -> int:
    """Prints the value, each row of the key with the reason why it counts or does not, and the value online.

    Raises:
        MissingError: there is no such service or feature, or a partition that is needed is not there.
        InputError: the key does not fit the view, or has more than a million rows.
    """
    catalog = load_catalog(settings.catalog)
    asked = question(settings, catalog, command)
    found = explained(session(settings, "why"), settings, asked)
    found["online"] = _online(settings, catalog, asked)
    if command.output == "json":
        say(json.dumps(found, indent=1))
    else:
        _show(found)
    return Exit.OK


def question(settings: Settings, catalog: Catalog, command: Why) -> Question:
    """The question of a command, checked. Needs no Spark."""
    service, _, name = command.feature.partition(".")
    features = {
        f"{view.name}__{feature}": (view, feature)
        for view, names in catalog.views_of(catalog.service(service)) for feature in names
    }  # fmt: skip
    if name not in features:
        raise MissingError.of(
            f"feature of service {service!r}", name, list(features), "Name it as SERVICE.VIEW__FEATURE."
        )
    view, feature = features[name]
    (key,), request = Keys([view], f"view {view.name!r}").parted([dict(command.keys)])
    at = micros(settings.now() if command.at is None else command.at)
    return Question(service=service, view=view, feature=feature, key=key, at=at, request=request)


def explained(spark: SparkSession, settings: Settings, asked: Question) -> dict[str, Any]:
    """Plain JSON data: value, status, the windows, the fits that went into it, and the rows of the key from the newest on.

    Raises:
        InputError: the key has more than a million rows.
    """
    view = asked.view
    at = np.array([asked.at], np.int64)
    anchor = int(anchors(at, view.freshness)[0])
    cut = view.schedule.cut_served(asked.at)
    sources = {
        source.name: _rows(spark, settings, asked, source, cut if view.served else asked.at + 1)
        for source in view.sources
    }
    (group,) = entity_views([view])
    fitted = fits_at(spark, settings, group, [cut]).get(view.name)
    asks = Asks(key=np.zeros(1, np.int64), instant=at)
    values = sweep(view, sources, asks, fits=fitted, request=asked.request)
    lines = {source.name: _line(view, source, sources[source.name]) for source in view.sources}
    if view.include_self:
        lines[view.source.name] = with_asks(view, lines[view.source.name], asks, own_events(view, at, asked.request))
    no_key = None in asked.key.values()
    uses = [] if fitted is None or no_key else fit_uses(view, asked.feature, lines, asks, anchor, fitted, values)
    parts = bases(view, asked.feature)
    rows = [row for part in parts for row in _told(asked, part, lines, anchor)]
    return {
        "feature": f"{asked.service}.{view.name}__{asked.feature}", "key": asked.key, "at": utc(asked.at).isoformat(), "cut": cut_text(cut),
        "value": None if no_key else _plain(values.columns[asked.feature]), "status": "no_key" if no_key else STATUSES[values.status[0]],
        "windows": [
            {"feature": part.name, "from": utc(edges.lower).isoformat(), "to": utc(edges.upper).isoformat()}
            for part in parts if isinstance(part, Aggregate | Rate)
            for edges in (part.window.bounds(anchor, view.remember_us),)
        ],
        "fits": [_used(view, use) for use in uses],
        "tiles": _tiles(settings, asked, cut), "rows": rows,
    }  # fmt: skip


def _tiles(settings: Settings, asked: Question, cut: int) -> dict[str, Any]:
    """Those behind each aggregate that the feature is made of, and of which there are none why."""
    shown: list[dict[str, Any]] = []
    because: dict[str, str] = {}
    for part in bases(asked.view, asked.feature):
        if isinstance(part, Aggregate) and None not in asked.key.values():
            found, why = tiles_behind(settings, part, asked.view, asked.key, cut)
            shown += found
            because |= {part.name: why} if why else {}
    return {"tiles": shown, "because": because}


def _used(view: FeatureView, use: FitUse) -> dict[str, Any]:
    """One thing that is fitted, as plain JSON data; `valid_from` is from when on values use it."""
    made: dict[str, Any] = {
        "feature": use.feature, "name": use.name, "cut": cut_text(use.cut), "valid_from": utc(use.cut + view.schedule.lag_us).isoformat(),
        "over": use.over, **dict(use.numbers),
    }  # fmt: skip
    if use.span is not None:
        made |= {"from": utc(use.span.lower).isoformat(), "to": utc(use.span.upper).isoformat()}
    if use.ages:
        made["ages"] = [dict(age) for age in use.ages]
    return made | {"sum": use.sum}


def _rows(spark: SparkSession, settings: Settings, asked: Question, source: Source, before: int) -> Rows:
    """All of the key that is known, with every column."""
    view = asked.view
    names = source.key_columns(view.entity.name, view.keys)
    known = known_rows(spark, settings, source, before=before)
    for name, value in zip(names, asked.key.values(), strict=True):
        known = known.where(F.col(name) == F.lit(value))
    columns = [
        (F.unix_micros(name) if kind == "timestamp" else F.col(name)).cast(passed(kind)).alias(f"s0_{name}")
        for name, kind in source.types.items()
    ]
    table = known.select(
        F.unix_micros(source.event_time).alias("asof_time"), "asof_known", F.coalesce("asof_undoes", F.lit(0)).alias("asof_undoes"),
        (F.col("asof_op") == "retract").alias("asof_retract"), "asof_first", *columns,
    ).limit(_MOST + 1).toArrow()  # fmt: skip
    if len(table) > _MOST:
        msg = f"{asked.key} has more than {_MOST:,} rows in {source.table}: too many to look at one by one. Ask the table itself, by `asof sql`."
        raise InputError(msg)
    return rows_of(source, 0, list(source.types), table.combine_chunks(), np.zeros(len(table), np.int64))


def _line(view: FeatureView, source: Source, rows: Rows) -> Timeline:
    """In order as the sweep has them: of changes, what the view reads decides between rows of one instant."""
    if source.kind != "events":
        rows = replace(rows, columns={name: rows.columns[name] for name in view.reads(source)})
    return timeline(rows, source, view.freshness)


def _told(asked: Question, part: Any, lines: dict[str, Timeline], anchor: int) -> list[dict[str, Any]]:  # noqa: ANN401 - a feature
    made: list[dict[str, Any]] = []
    for source in asked.view.sources:
        if source.name != asked.view.source.name and not (isinstance(part, Rate) and part.outcomes == source.name):
            continue
        line = lines[source.name]
        said = reasons(asked.view, part, source, line, asked.at, anchor)
        made += [
            {"feature": part.name, "source": source.name, **_shown(part, source, line, place), "why": said[place]}
            for place in reversed(range(len(line)))
        ]
    return made


def _shown(part: Any, source: Source, line: Timeline, place: int) -> dict[str, Any]:  # noqa: ANN401 - a feature
    """The event id, and what the feature reads of a row."""
    read: set[str] = set()
    match part:
        case Aggregate():
            read.update(columns_of(part.where), *(columns_of(node) for node in part.reads))
        case Rate():
            read.update(columns_of(part.eligible), [part.of])
        case _:
            read.add(part.column)
    ids = [source.event_id] if source.event_id else []
    names: list[str] = list(dict.fromkeys([*ids, *sorted(read)]))
    return {
        "event_time": utc(int(line.time[place])).isoformat(), "counts_from": utc(int(line.since[place])).isoformat(),
        **{name: _plain(line.columns[name].slice(place, 1)) for name in names if name in line.columns},
    }  # fmt: skip


def _plain(column: pa.Array) -> Cell:
    value = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column)[0].as_py()
    return utc(value).isoformat() if pa.types.is_timestamp(column.type) and value is not None else value


def _online(settings: Settings, catalog: Catalog, asked: Question) -> dict[str, Any]:
    """What a lookup gives at that instant, or why it gives nothing."""
    try:
        with Reader(settings, catalog) as reader:
            given = {name: travelling(pa.chunked_array([column]))[0].as_py() for name, column in asked.request.items()}
            (row,) = reader.lookup_features({asked.view.name: [asked.feature]}, [given | asked.key], asked.at).rows
    except AsofError as error:
        return {"because": str(error)}
    (view,) = row.views
    value = view.values[asked.feature]
    if asked.view.types[asked.feature] == "timestamp" and isinstance(value, int):
        value = utc(value).isoformat()
    return {"value": value, "status": view.status, "cut": cut_text(view.cut)}


def _show(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    key = ", ".join(f"{name}={value}" for name, value in found["key"].items())
    console.print(
        f"{found['feature']} of {key} at {found['at']}: {_text(found['value'])} ({found['status']}, cut {found['cut']})",
        soft_wrap=True,
    )
    online = found["online"]
    console.print(
        f"Online: {_text(online['value'])} ({online['status']}, cut {online['cut']})" if "value" in online else f"Online: nothing. {online['because']}",
        soft_wrap=True,
    )  # fmt: skip
    for window in found["windows"]:
        console.print(f"{window['feature']} looks from {window['from']} to before {window['to']}.", soft_wrap=True)
    for use in found["fits"]:
        _show_fit(console, use)
    _show_tiles(console, found["tiles"])
    rows = found["rows"]
    counted = sum(row["why"] == COUNTS for row in rows)
    console.print(
        f"{len(rows)} row(s), {counted} of which count{f'; the newest {_SHOWN} are' if len(rows) > _SHOWN else ''}:",
        soft_wrap=True,
    )
    if not rows:
        return
    table = Table()
    names = list(dict.fromkeys(name for row in rows[:_SHOWN] for name in row if name != "why"))
    # What all rows have alike is said above already.
    names = [name for name in names if name not in {"feature", "source"} or len({row[name] for row in rows}) > 1]
    for name in [*names, "why"]:
        table.add_column(name, overflow="fold")
    for row in rows[:_SHOWN]:
        style = None if row["why"] == COUNTS else "dim"
        table.add_row(*(_short(_text(row.get(name))) for name in names), row["why"], style=style)
    console.print(table)


def _show_tiles(console: Console, found: dict[str, Any]) -> None:
    for name, why in found["because"].items():
        console.print(f"No tiles of {name}: {why}.", soft_wrap=True)
    if not (tiles := found["tiles"]):
        return
    console.print(f"{len(tiles)} tile(s){f'; the newest {_SHOWN} are' if len(tiles) > _SHOWN else ''}:", soft_wrap=True)
    table = Table("feature", "from", "to", "rows", "value")
    for tile in tiles[:_SHOWN]:
        table.add_row(*(_short(_text(tile[name])) for name in ("feature", "from", "to", "rows", "value")))
    console.print(table)


def _show_fit(console: Console, use: dict[str, Any]) -> None:
    span = f", from {use['from']} to before {use['to']}" if "from" in use else ""
    console.print(
        f"{use['feature']} uses {use['name']}, fitted at cut {use['cut']} over {use['over']}{span}; valid from {use['valid_from']} ({FITS}).",
        soft_wrap=True,
    )
    told = {"feature", "name", "cut", "valid_from", "over", "from", "to", "ages", "sum"}
    numbers = ", ".join(f"{name} {_number(value)}" for name, value in use.items() if name not in told)
    made = f": {use['sum']}" if use["sum"] else ""
    console.print(f"  {numbers}{made}", soft_wrap=True)
    for age in use.get("ages", ()):
        left = "" if age["counts"] else "; left out, too few show by then"
        console.print(
            f"  {age['age']} day(s) old: {_number(age['share'])} of outcomes show, {age['outcomes']} of {age['events']} event(s) have one{left}",
            soft_wrap=True,
        )


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"


def _text(value: Cell) -> str:
    return "null" if value is None else str(value)


def _short(text: str) -> str:
    """An instant without what all of them have, so that a row fits a terminal."""
    return text.removesuffix("+00:00").replace("T", " ") if text.endswith("+00:00") else text
