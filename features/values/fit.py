"""Makes raw rows fit a source's declared columns; what does not fit is set aside with the reason. Arrow only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.durations import duration
from features.definitions.sources import Field, Source
from features.values.expressions import evaluate_column
from features.values.sweep import ARROW_TYPES

__all__ = ["Fitted", "fit", "fitted_schema", "known_at"]

_EARLIEST = -62_135_596_800_000_000  # 0001-01-01, where `t - window` cannot wrap
_LATEST = 253_402_300_799_999_999  # 9999-12-31
_UNIT = 1e-6
_EXACT_UNIT = Decimal("1e-6")
_SMALLEST = 90_000
_DIGITS = Context(prec=4000, Emin=-99_999, Emax=99_999)
_ROUNDED = 2.0**33
"""Below it a product of floats is off by less than _UNIT."""
_TRUE, _FALSE = ("true", "t", "1", "yes"), ("false", "f", "0", "no")
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NO_FRACTION = re.compile(r"\.0+$")
Converted = tuple[pa.Array, dict[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Good rows in the declared types with `asof_known_at`, and why the others are not among them."""

    rows: pa.Table
    reasons: dict[int, str]
    """Row number of the input to the first reason."""

    cleared: int
    """NaN and infinities that became null."""


def fitted_schema(source: Source) -> pa.Schema:
    """The declared columns and `asof_known_at`."""
    columns = [(column.name, ARROW_TYPES[column.stored]) for column in source.columns]
    return pa.schema([*columns, ("asof_known_at", ARROW_TYPES["timestamp"])])


def fit(source: Source, raw: pa.Table) -> Fitted:
    """Converts each column; a row with any value that does not fit, or times that cannot be, gets a reason."""
    reasons: dict[int, str] = {}
    made: dict[str, pa.Array] = {}
    cleared = 0
    for column in source.given:
        values = raw[column.name].combine_chunks()
        made[column.name], wrong = _convert(column, values)
        for row, reason in wrong.items():
            reasons.setdefault(row, f"{column.name}: {reason}")
        if column.type == "float64":
            cleared += int(made[column.name].null_count) - _empty(values) - len(wrong)
    for column in source.columns:
        if column.computed is not None:
            found = evaluate_column(column.computed, made, len(raw))
            made[column.name] = found.cast(ARROW_TYPES[column.stored])
    known = _lagged(source, made[source.known_at or source.event_time])
    _refuse(source, made, known, reasons)
    good = np.ones(len(raw), dtype=bool)
    good[list(reasons)] = False
    table = pa.table({**made, "asof_known_at": known}, schema=fitted_schema(source))
    return Fitted(rows=table.filter(pa.array(good)), reasons=reasons, cleared=max(cleared, 0))


def known_at(source: Source, raw: pa.Table) -> pa.Array:
    """From when on raw rows are known; null where that cannot be read."""
    name = source.known_at or source.event_time
    column = next(column for column in source.columns if column.name == name)
    return _lagged(source, _convert(column, raw[name].combine_chunks())[0])


def _lagged(source: Source, values: pa.Array) -> pa.Array:
    if source.known_at is not None or not source.lag_us:
        return values
    return pc.add(values.cast(pa.int64()), source.lag_us).cast(ARROW_TYPES["timestamp"])


def _refuse(source: Source, made: dict[str, pa.Array], known: pa.Array, reasons: dict[int, str]) -> None:
    needed = [(source.event_time, "an event needs its time")]
    needed += [(source.known_at, "a row needs the instant it was received")] if source.known_at else []
    needed += [(source.event_id, "an event needs its id")] if source.event_id else []
    for name, why in needed:
        for row in np.flatnonzero(np.asarray(made[name].is_null())):
            reasons.setdefault(int(row), f"{name}: it is null, and {why}")
    ahead = duration(source.max_future)
    early = np.asarray(
        pc.fill_null(
            pc.greater(pc.subtract(made[source.event_time].cast(pa.int64()), known.cast(pa.int64())), ahead), False
        )
    )
    for row in np.flatnonzero(early):
        reasons.setdefault(
            int(row),
            f"{source.event_time}: {made[source.event_time][int(row)].as_py()} is more than {source.max_future} after it was known",
        )


def _convert(column: Field, values: pa.Array) -> Converted:
    convert: dict[str, Callable[[Field, pa.Array], Converted]] = {
        "string": _strings, "int64": _integers, "float64": _floats, "bool": _booleans, "timestamp": _timestamps,
    }  # fmt: skip
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), ARROW_TYPES[column.stored]), {}
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return convert[column.type](column, values)


def _is_text(values: pa.Array) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _empty(values: pa.Array) -> int:
    """Nulls, and texts of nothing."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    blank = int(pc.sum(pc.equal(values, "")).as_py() or 0) if _is_text(values) else 0
    return int(values.null_count) + blank


def _each(values: pa.Array, parse: Callable[[str], object], kind: pa.DataType) -> Converted:
    """Text, value by value; an empty text is null."""
    wrong: dict[int, str] = {}
    made: list[object] = []
    for row, text in enumerate(values.to_pylist()):
        try:
            made.append(None if text is None or text == "" else parse(text))
        except ValueError as error:
            wrong[row] = str(error)
            made.append(None)
    return pa.array(made, kind), wrong


def _strings(column: Field, values: pa.Array) -> Converted:
    if pa.types.is_timestamp(values.type) or pa.types.is_nested(values.type) or pa.types.is_floating(values.type):
        return _all_wrong(values, column, "text or an integer")
    try:
        made = values.cast(pa.string())
        made.validate(full=True)  # Spark hands text on as it finds it
    except pa.ArrowInvalid:
        return _decoded(values.cast(pa.binary()))
    return made, {}


def _decoded(values: pa.Array) -> Converted:
    """Bytes, value by value."""
    wrong: dict[int, str] = {}
    made: list[str | None] = []
    for row, given in enumerate(values.to_pylist()):
        try:
            made.append(None if given is None else given.decode())
        except UnicodeDecodeError:
            made.append(None)
            wrong[row] = f"{given!r} is not UTF-8"
    return pa.array(made, pa.string()), wrong


def _integers(column: Field, values: pa.Array) -> Converted:
    if _is_text(values):
        return _each(values, _integer, pa.int64())
    if pa.types.is_integer(values.type):
        limits = pc.is_valid(values) if pa.types.is_uint64(values.type) else None
        if limits is not None and (pc.max(values).as_py() or 0) > 2**63 - 1:
            return _each(values.cast(pa.string()), _integer, pa.int64())
        return values.cast(pa.int64()), {}
    if pa.types.is_floating(values.type):
        return _whole(values.cast(pa.float64()))
    if pa.types.is_decimal(values.type):
        return _each(values.cast(pa.string()), _integer, pa.int64())
    return _all_wrong(values, column, "an integer")


def _whole(values: pa.Array) -> Converted:
    """Floats that are whole and within 64 bits."""
    numbers = np.asarray(pc.fill_null(values, 0.0))
    good = np.isfinite(numbers) & (numbers == np.rint(numbers)) & (numbers >= -(2.0**63)) & (numbers < 2.0**63)
    wrong = {int(row): f"{float(numbers[row])!r} is not a whole number within 64 bits" for row in np.flatnonzero(~good)}
    keep = good & np.asarray(values.is_valid())
    return pa.array(np.where(keep, numbers, 0).astype(np.int64), mask=~keep), wrong


def _integer(text: str) -> int:
    whole = _NO_FRACTION.sub("", text)
    if not _INTEGER.fullmatch(whole):
        msg = f"{text!r} is not a whole number"
        raise ValueError(msg)
    if not -(2**63) <= int(whole) < 2**63:
        msg = f"{text} does not fit 64 bits"
        raise ValueError(msg)
    return int(whole)


def _number(text: str) -> float:
    try:
        if "_" not in text:  # Python's own way of writing thousands, nobody else's
            return float(text)
    except ValueError:
        pass
    msg = f"{text!r} is not a number"
    raise ValueError(msg)


def _floats(column: Field, values: pa.Array) -> Converted:
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
    if not _is_text(values) and not numeric:
        return _all_wrong(values, column, "a number")
    if column.scale is not None and not pa.types.is_floating(values.type):
        return _exact_units(values, column.scale)
    numbers, wrong = (
        _each(values, _number, pa.float64()) if _is_text(values) else (values.cast(pa.float64(), safe=False), {})
    )
    finite = pc.fill_null(pc.is_finite(numbers), False)
    numbers = pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))
    return (numbers, wrong) if column.scale is None else _float_units(numbers, column.scale)


def _float_units(numbers: pa.Array, scale: int) -> Converted:
    """Floats that are within 1e-6 of a whole number of units, or the float nearest to one, as far as floats tell units apart."""
    given = np.asarray(pc.fill_null(numbers, 0.0))
    unit = 10.0**scale
    units = given * unit
    whole = np.rint(units)  # half to even
    near = (np.abs(units - whole) <= _UNIT) & (np.abs(units) < _ROUNDED)
    for beside in (0.0, -1.0, 1.0):  # of large amounts the product may be the next whole number
        nearest = ~near & ((whole + beside) / unit == given)
        whole, near = np.where(nearest, whole + beside, whole), near | nearest
    beyond = np.spacing(np.abs(given)) * unit > 1.0
    wrong = {}
    for row in np.flatnonzero(~near | beyond):
        value = f"{float(given[row])!r}"
        wrong[int(row)] = (
            f"{value} is so large that a float does not tell it from the next 1e-{scale}; deliver a decimal or text"
            if beyond[row]
            else f"{value} is not a whole number of 1e-{scale} within 64 bits"
        )
    keep = np.asarray(numbers.is_valid()) & near & ~beyond
    return pa.array(np.where(keep, whole, 0).astype(np.int64), mask=~keep), wrong


def _exact_units(values: pa.Array, scale: int) -> Converted:
    """Texts, integers and decimals, without a float on the way."""
    texts = values if _is_text(values) else values.cast(pa.string())
    return _each(texts, lambda text: _units(text, scale), pa.int64())


def _units(text: str, scale: int) -> int | None:
    _number(text)  # one rule for what a number looks like
    try:
        given = Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        given = Decimal("1e99999")
    if not given.is_finite():
        return None
    if given.adjusted() + scale < 20:  # noqa: PLR2004 - 64 bits have nineteen digits
        units = given.scaleb(scale, _DIGITS) if given.adjusted() > -_SMALLEST else Decimal(0)
        whole = int(units.to_integral_value(ROUND_HALF_EVEN))
        if abs(units - whole) <= _EXACT_UNIT and -(2**63) <= whole < 2**63:
            return whole
    msg = f"{text} is not a whole number of 1e-{scale} within 64 bits"
    raise ValueError(msg)


def _booleans(column: Field, values: pa.Array) -> Converted:
    if pa.types.is_boolean(values.type):
        return values, {}
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    return _each(values, _boolean, pa.bool_()) if _is_text(values) else _all_wrong(values, column, "true or false")


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    msg = f"{text!r} is neither true nor false"
    raise ValueError(msg)


def _timestamps(column: Field, values: pa.Array) -> Converted:
    zone = ZoneInfo(column.zone) if column.zone else None
    if pa.types.is_timestamp(values.type):
        if values.type.tz is not None:
            made = values.cast(ARROW_TYPES["timestamp"], safe=False)
        elif column.zone is not None:
            made = _in_zone(values.cast(pa.timestamp("us"), safe=False), column.zone)
        else:
            return _all_wrong(values, column, "an instant with a zone (or declare the column's zone)")
        micros = np.asarray(pc.fill_null(made.cast(pa.int64()), 0))
        outside = {
            int(row): "it is outside the years 1 to 9999"
            for row in np.flatnonzero((micros < _EARLIEST) | (micros > _LATEST))
        }
        return made, outside
    if _is_text(values):
        return _each(values, lambda text: _instant(text, column.format, zone), ARROW_TYPES["timestamp"])
    return _all_wrong(values, column, "a timestamp")


def _in_zone(values: pa.Array, zone: str) -> pa.Array:
    """Wall clock times as instants; one that occurs twice is the earlier, one that a clock skips is read with the offset before the skip."""
    try:
        return pc.assume_timezone(values, zone, ambiguous="earliest").cast(ARROW_TYPES["timestamp"])
    except pa.ArrowInvalid:  # a skipped time is among them: value by value, as text is read
        here = ZoneInfo(zone)
        made = [None if value is None else value.replace(tzinfo=here).astimezone(UTC) for value in values.to_pylist()]
        return pa.array(made, ARROW_TYPES["timestamp"])


def _instant(text: str, pattern: str | None, zone: ZoneInfo | None) -> datetime:
    try:
        # The zone is seen to below.
        made = datetime.strptime(text, pattern) if pattern else datetime.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        msg = f"{text!r} is not a timestamp{f' of the form {pattern}' if pattern else ' in ISO 8601'}"
        raise ValueError(msg) from None
    if made.tzinfo is None:
        if zone is None:
            msg = f"{text!r} has no zone, and the column declares none"
            raise ValueError(msg)
        made = made.replace(tzinfo=zone)
    try:
        return made.astimezone(UTC)
    except OverflowError:
        msg = f"{text!r} is outside the years 1 to 9999"
        raise ValueError(msg) from None


def _all_wrong(values: pa.Array, column: Field, wanted: str) -> Converted:
    valid = np.flatnonzero(np.asarray(values.is_valid()))
    reason = f"the input holds {values.type}, not {wanted}"
    return pa.nulls(len(values), ARROW_TYPES[column.stored]), {int(row): reason for row in valid}
