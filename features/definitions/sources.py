"""Where rows come from: a Hive table, what its rows are, when they happened and when they were known (semantics 2)."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.definitions.checks import complain, where_defined
from features.definitions.durations import duration
from features.definitions.expressions import ColumnType, Expression, type_of

if TYPE_CHECKING:
    from features.definitions.graphs import Graph

__all__ = ["Enrich", "Field", "Source", "SourceKind", "fields"]

SourceKind = Literal["events", "changes", "full"]
RESERVED = "asof_"
_TABLE = re.compile(r"\w+\.\w+")
_SCALES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column of a source: its type, and how its text is read where the input is text."""

    name: str
    type: ColumnType
    scale: int | None = None
    """Decimals of an amount. The value becomes an int64 of that unit: scale 2 makes 12.34 into 1234."""

    format: str | None = None
    """strptime format of a timestamp that comes as text; ISO 8601 where it is None."""

    zone: str | None = None
    """IANA zone of timestamps that carry none. None refuses such timestamps."""

    computed: Expression | None = None
    """What the input does not bring: made of its columns when a row is ingested or pushed, and stored like the others."""

    @property
    def stored(self) -> ColumnType:
        """The type in Hive."""
        return "int64" if self.scale is not None else self.type


def fields(type: ColumnType, names: str, *, scale: int | None = None) -> tuple[Field, ...]:  # noqa: A002
    """Several columns of one type: `fields("string", "card_id device_id")`."""
    return tuple(Field(name=name, type=type, scale=scale) for name in names.split())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Enrich:
    """Columns an event takes from its parent, as known at the later of both known_at, once and for good."""

    parent: "Source"
    on: str
    """The column of the child that holds the parent's event id."""

    columns: tuple[str, ...]
    time: str | None = None
    """Name under which the parent's event_time arrives; None leaves it behind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A Hive table of events, of changes, or of all keys a day."""

    name: str
    table: str
    """`database.table`, partitioned by `partition`: the UTC date of known_at."""

    columns: tuple[Field, ...]
    kind: SourceKind = "events"
    event_time: str = "event_time"
    """When it happened; for changes and full tables, from when the row holds."""

    known_at: str | None = None
    """Column stamped by the first system that received the row. None: known `lag` after its event_time."""

    lag: str = "0"
    """With no `known_at` column, how long after event_time a row is known; with one, the least such delay."""

    event_id: str | None = None
    """None: the source has neither corrections nor protection against redelivery. Of kind full: the column that tells its rows apart."""

    version: str | None = None
    """Column that orders the versions of an event id; None: 0."""

    void: str | None = None
    """Boolean column: this version takes the event back."""

    deleted: str | None = None
    """Boolean column of a change: the key is gone from its event_time on. Of kind full, ingest fills it."""

    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(entity, columns here) where they are named differently from the entity's own keys."""

    filter: Expression | None = None
    """Only rows for which it is true take part."""

    reads: str | None = None
    """Name of the source that ingests the table; None: this one."""

    partition: str = "ds"
    correctable: str = "180d"
    """How long after event_time a correction is still accepted; older ones go to quarantine."""

    max_future: str = "5m"
    """By how much event_time may be later than known_at."""

    enriched: Enrich | None = None
    graph: "Graph | None" = None
    """What `asof graph` derives it from; None: it is ingested."""

    owner: str = ""
    description: str = ""
    where: str = field(default_factory=where_defined, repr=False)

    def __post_init__(self) -> None:
        for problem, remedy in _problems(self):
            complain(self.where, f"Source {self.name!r}", problem, remedy)

    @cached_property
    def types(self) -> Mapping[str, ColumnType]:
        """Column name to stored type, the enriched ones included."""
        own: dict[str, ColumnType] = {column.name: column.stored for column in self.columns}
        if self.enriched is not None:
            own |= {
                name: self.enriched.parent.types[name]
                for name in self.enriched.columns
                if name in self.enriched.parent.types
            }
            if self.enriched.time is not None:
                own[self.enriched.time] = "timestamp"
        return own

    @property
    def given(self) -> tuple[Field, ...]:
        """The columns that the input brings."""
        return tuple(column for column in self.columns if column.computed is None)

    @property
    def lag_us(self) -> int:
        """Microseconds."""
        return duration(self.lag)

    @property
    def ingested_by(self) -> str:
        """Name of the source whose ingest fills the table."""
        return self.reads or self.name

    def key_columns(self, entity: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """The columns of this source that hold an entity's key."""
        return dict(self.keys).get(entity, default)

    def enrich(self, parent: "Source", *, on: str, columns: tuple[str, ...], time: str | None = None) -> Self:
        """This source with columns of its parent: a dispute learns its payment's card and merchant."""
        return replace(self, enriched=Enrich(parent=parent, on=on, columns=columns, time=time), where=where_defined())

    def derive(self, name: str, *, filter: Expression | None = None, lag: str = "0", description: str = "") -> Self:  # noqa: A002
        """Another reading of the same table: some of its rows, known `lag` after their event_time at the earliest."""
        return replace(
            self,
            name=name,
            filter=filter,
            lag=lag,
            reads=self.ingested_by,
            description=description,
            where=where_defined(),
        )


def _problems(source: Source) -> list[tuple[str, str]]:  # noqa: C901, PLR0912 - one branch a rule
    found: list[tuple[str, str]] = []
    names = [column.name for column in source.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        found.append((f"the columns {twice} are declared twice.", "Declare each once."))
    if bad := [name for name in names if name.startswith(RESERVED) or name == source.partition]:
        found.append(
            (
                f"the columns {bad} are named like Asof's own.",
                f"Names beginning with {RESERVED!r} and the partition are taken.",
            )
        )
    types = {column.name: column.type for column in source.columns}
    for role, name, kind in (
        ("event_time", source.event_time, "timestamp"), ("known_at", source.known_at, "timestamp"), ("void", source.void, "bool"),
        ("version", source.version, "int64"), ("deleted", source.deleted, "bool"), ("event_id", source.event_id, None),
    ):  # fmt: skip
        if name is not None and name not in types:
            found.append(
                (f"{role} is {name!r}, which is not among its columns {sorted(types)}.", "Declare it in columns.")
            )
        elif name is not None and kind is not None and types[name] != kind:
            found.append((f"{role} is {name!r} of type {types[name]}.", f"It must be {kind}."))
    if _TABLE.fullmatch(source.table) is None:
        found.append(
            (f"its table is {source.table!r}.", "Write database.table, each of letters, digits and underscores.")
        )
    found.extend(_field_problems(source.columns))
    found.extend(_computed_problems(source))
    for text in (source.lag, source.correctable, source.max_future):
        try:
            duration(text)
        except ValueError as error:
            found.append((str(error), ""))
    if source.version is not None and source.event_id is None:
        found.append(("it has a version but no event_id.", "Name the column that identifies an event."))
    if source.void is not None and source.event_id is None:
        found.append(
            (
                "it has a void but no event_id.",
                "Name the column that identifies an event, so that a void knows what it takes back.",
            )
        )
    found.extend(
        (f"column {column.name!r} of type {column.type} has a scale.", "Only float64 (decimal) columns take one.")
        for column in source.columns
        if column.scale is not None and column.type != "float64"
    )
    if source.kind == "full":
        found.extend(_full_problems(source))
    if source.filter is not None:
        try:
            if type_of(source.filter, source.types) != "bool":
                found.append((f"its filter {source.filter} is not a condition.", "Compare columns with values."))
        except ValueError as error:
            found.append((f"its filter is wrong: {error}", "Mend the expression."))
    return found + _enrich_problems(source)


def _field_problems(columns: tuple[Field, ...]) -> Iterator[tuple[str, str]]:
    """What only shows when rows are read, or when Hive, which knows no case, makes the table."""
    names = {column.name for column in columns}
    lower = Counter(name.lower() for name in names)
    if twice := sorted(name for name in names if lower[name.lower()] > 1):
        yield f"the columns {twice} differ in case only.", "Hive knows no case: rename one of them."
    for column in columns:
        place = f"column {column.name!r}"
        if column.type not in get_args(ColumnType):
            yield f"{place} has the type {column.type!r}.", f"Types are {', '.join(get_args(ColumnType))}."
        if column.scale is not None and not 0 <= column.scale <= _SCALES:
            yield f"{place} has the scale {column.scale}.", f"A scale is 0 to {_SCALES} decimals."
        if column.zone is not None and not _is_zone(column.zone):
            yield (
                f"{place} has the zone {column.zone!r}, which is not an IANA zone.",
                "Write one such as Europe/Berlin or UTC.",
            )
        if column.format is not None and (wrong := _format_error(column.format)):
            yield (
                f"{place} has the format {column.format!r}: {wrong}.",
                "Write a strptime format such as %d.%m.%Y %H:%M:%S.",
            )


def _computed_problems(source: Source) -> Iterator[tuple[str, str]]:
    given: dict[str, ColumnType] = {column.name: column.stored for column in source.given}
    roles = {source.event_time, source.known_at, source.event_id, source.version, source.void, source.deleted}
    for column in source.columns:
        if column.computed is None:
            continue
        place = f"column {column.name!r}"
        if column.name in roles or column.scale is not None or column.format is not None or column.zone is not None:
            yield (
                f"{place} is computed and has a role, a scale, a format or a zone.",
                "Event id, times, version, void and deletion come from the input, and a computed value is read from no text.",
            )
        try:
            kind = type_of(column.computed, given)
        except ValueError as error:
            yield f"{place} is computed wrongly: {error}", "Use columns that the input brings."
            continue
        if kind != column.type:
            yield (
                f"{place} of type {column.type} is computed as {kind or 'null'}.",
                "Give it the type of its expression.",
            )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _format_error(pattern: str) -> str | None:
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007 - nothing is read
    except ValueError as error:
        return str(error) if "directive" in str(error) or "stray" in str(error) else None
    except re.error as error:
        return f"a directive is there twice ({error})"
    return None


def _full_problems(source: Source) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if source.event_id is None:
        found.append(("it is of kind full and has no event_id.", "Name the column that tells its rows apart, the key."))
    if source.deleted is None:
        found.append(
            (
                "it is of kind full and has no deleted.",
                "Declare a bool column for it; ingest fills it where a key is gone.",
            )
        )
    if source.version is not None or source.void is not None or source.enriched is not None:
        found.append(
            (
                "it is of kind full and has a version, a void or a parent.",
                "The next snapshot corrects a snapshot; leave them out.",
            )
        )
    return found


def _enrich_problems(source: Source) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    link = source.enriched
    if link is None:
        return found
    if link.parent.event_id is None:
        found.append(
            (f"its parent {link.parent.name!r} has no event_id.", "Only a parent with event ids can be looked up.")
        )
    own = {column.name for column in source.columns}
    if link.on not in own:
        found.append((f"it is enriched on {link.on!r}, which is not among its columns.", "Name a column of the child."))
    for name in link.columns:
        if name not in link.parent.types:
            found.append(
                (f"the parent {link.parent.name!r} has no column {name!r}.", f"It has {sorted(link.parent.types)}.")
            )
        if name in own:
            found.append((f"it has a column {name!r} of its own.", "Leave it out of the enriched ones."))
    return found
