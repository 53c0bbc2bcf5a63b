"""Named, seeded damage to one day's landing files: what a gate must see. Used by tests and by the demo's `hold`."""

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError, MissingError
from jobs.simulate.bad_rows import BAD_ROWS
from jobs.simulate.damage import Corruption, Damage, put
from jobs.simulate.landing import landing_file, write_parquet
from jobs.simulate.randomness import stream
from jobs.simulate.truth import attacks_file

__all__ = ["CORRUPTIONS", "corrupt"]

_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_NULL_SHARE: Final = 0.6
_BOTH: Final = ("payments", "disputes")


def corrupt(landing_day: Path, kind: str, *, seed: int) -> str:
    """Damages a day in place, each file whole or not at all, and says in a sentence what was done.

    Files that are not there are left out.

    Args:
        landing_day: The payments' folder of the day, OUT/payments/ds=YYYY-MM-DD; the other tables lie beside it.
        kind: A name of CORRUPTIONS or BAD_ROWS.
        seed: Chooses the rows; the same seed on the same file does the same.

    Raises:
        InputError: the folder is not one of payments' days.
        MissingError: no such kind, or no landing file in that folder.
    """
    kinds = CORRUPTIONS | BAD_ROWS
    if kind not in kinds:
        raise MissingError.of("corruption", kind, tuple(kinds), "Use one of CORRUPTIONS or BAD_ROWS in jobs.simulate.")
    out, ds = _place(landing_day)
    corruption = kinds[kind]
    done = []
    for number, table in enumerate(corruption.tables):
        path = attacks_file(out) if table == "truth" else landing_file(out, table, ds)
        if not path.exists():
            continue
        before, yesterday = pq.ParquetFile(path).read(), landing_file(out, table, ds - timedelta(days=1))
        earlier = pq.ParquetFile(yesterday).read() if yesterday.exists() else before.slice(0, 0)
        after = corruption.damage(before, earlier, stream(seed, "corruption", number))
        write_parquet(after, path)
        done.append(f"{before.num_rows:,} {table} became {after.num_rows:,}")
    return f"{kind} on {ds}: {corruption.says} ({'; '.join(done)})."


def _place(landing_day: Path) -> tuple[Path, date]:
    name, table = landing_day.name, landing_day.parent.name
    try:
        ds = date.fromisoformat(name.removeprefix("ds="))
    except ValueError:
        ds = None
    if ds is None or table != "payments":
        msg = f"{landing_day} is not a day of landed payments. Give OUT/payments/ds=YYYY-MM-DD."
        raise InputError(msg)
    path = landing_file(landing_day.parent.parent, "payments", ds)
    if not path.exists():
        days = [folder.name for folder in landing_day.parent.glob("ds=*")]
        raise MissingError.of("landing file", str(path), days, "Run `asof simulate` for that day first.")
    return landing_day.parent.parent, ds


def _ids(rows: pa.Table) -> str:
    return "dispute_id" if "dispute_id" in rows.column_names else "payment_id"


def _renamed(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The same rows under ids never seen; rows of one event keep one id."""
    name = _ids(rows)
    codes = rows[name].combine_chunks().dictionary_encode()
    numbers = rng.integers(1 << 40, size=len(codes.dictionary))
    prefix = "dsp" if name == "dispute_id" else "pay"
    fresh = pa.array([f"{prefix}_{number:010x}" for number in numbers], pa.string())
    return put(rows, name, fresh.take(codes.indices))


def _hours(rows: pa.Table) -> npt.NDArray[np.int64]:
    """The UTC hour of day in which each row arrived."""
    instants: npt.NDArray[np.int64] = rows["ingested_at"].cast(pa.int64()).to_numpy()
    return instants % _DAY_US // _HOUR_US


def _dropped_hours(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    counts = np.bincount(_hours(rows), minlength=24)
    spans = np.convolve(counts, np.ones(4, dtype=np.int64), mode="valid")
    first = int(spans.argmax())
    hours = _hours(rows)
    return rows.filter(pa.array((hours < first) | (hours >= first + 4)))


def _half_day_missing(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    return rows.filter(pa.array(_hours(rows) < 12))  # noqa: PLR2004


def _doubled(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    return pa.concat_tables([rows, _renamed(rows, rng)])


def _partly_doubled(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    again = rows.filter(pa.array(rng.random(rows.num_rows) < 0.3))  # noqa: PLR2004
    return pa.concat_tables([rows, _renamed(again, rng)])


def _yesterday_again(rows: pa.Table, earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Yesterday's events once more: new ids, and they arrive a day later."""
    if not earlier.num_rows:
        msg = "There is no day before this one to repeat. Corrupt a later day with day_of_yesterday_again."
        raise InputError(msg)
    later = pa.array(earlier["ingested_at"].cast(pa.int64()).to_numpy() + _DAY_US).cast(pa.timestamp("us", tz="UTC"))
    return pa.concat_tables([rows, put(_renamed(earlier, rng), "ingested_at", later)])


def _empty(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    return rows.slice(0, 0)


def _amounts(change: Callable[[npt.NDArray[np.int64], np.random.Generator], npt.NDArray[np.int64]]) -> Damage:
    def damage(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
        return put(rows, "amount_minor", change(rows["amount_minor"].to_numpy(), rng))

    return damage


def _outliers(amount: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """At least one row in a file of any size."""
    hit = rng.random(len(amount)) < 0.01  # noqa: PLR2004
    if len(hit):
        hit[rng.integers(len(hit))] = True
    return np.where(hit, amount * 1_000_000, amount)


def _stuck(name: str) -> Damage:
    """All rows have the value of one of them."""

    def damage(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
        if not rows.num_rows:
            return rows
        value = rows[name][int(rng.integers(rows.num_rows))].as_py()
        return put(rows, name, pa.array([value] * rows.num_rows, rows.schema.field(name).type))

    return damage


def _always(name: str, value: str) -> Damage:
    def damage(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
        return put(rows, name, pa.array([value] * rows.num_rows, pa.string()))

    return damage


def _null(*names: str) -> Damage:
    """Six rows in ten lose these columns."""

    def damage(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
        lost = pa.array(rng.random(rows.num_rows) < _NULL_SHARE)
        for name in names:
            nothing = pa.scalar(None, rows.schema.field(name).type)
            rows = put(rows, name, pc.if_else(lost, nothing, rows[name]))
        return rows

    return damage


def _swapped(one: str, other: str) -> Damage:
    def damage(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
        return put(put(rows, one, rows[other]), other, rows[one])

    return damage


def _shifted(hours: int, share: float = 1.0) -> Damage:
    """Event times move; arrivals stay."""

    def damage(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
        moved = rng.random(rows.num_rows) < share
        instants = rows["event_time"].cast(pa.int64()).to_numpy() + np.where(moved, hours * _HOUR_US, 0)
        return put(rows, "event_time", pa.array(instants))

    return damage


def _truncated(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    """Two hexadecimal digits are left: 256 cards, 256 accounts."""
    for name, prefix in (("card_id", "card_"), ("account_id", "acc_"), ("device_id", "dev_")):
        rows = put(rows, name, pc.utf8_slice_codeunits(rows[name], 0, len(prefix) + 2))
    return rows


def _recased(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    for name in ("card_id", "account_id", "device_id", "merchant_id"):
        rows = put(rows, name, pc.utf8_upper(rows[name]))
    return rows


def _currency_swapped(rows: pa.Table, _earlier: pa.Table, _rng: np.random.Generator) -> pa.Table:
    names = rows["currency"].combine_chunks()
    dollars = pc.if_else(pc.equal(names, "EUR"), "USD", names)
    return put(rows, "currency", pc.if_else(pc.equal(names, "USD"), "EUR", dollars))


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "dropped_hours": Corruption(damage=_dropped_hours, says="the four busiest hours in a row are missing"),
    "half_day_missing": Corruption(damage=_half_day_missing, says="nothing arrived after noon UTC", tables=_BOTH),
    "doubled_file": Corruption(damage=_doubled, says="all rows are there again under new ids", tables=_BOTH),
    "duplicate_fraction": Corruption(damage=_partly_doubled, says="30% of the rows are there again under new ids"),
    "day_of_yesterday_again": Corruption(
        damage=_yesterday_again, says="yesterday's rows are there again under new ids"
    ),
    "stale_file_empty": Corruption(damage=_empty, says="the files are empty", tables=_BOTH),
    "unit_x100": Corruption(
        damage=_amounts(lambda a, _: a * 100), says="amounts are 100 times too large", tables=_BOTH
    ),
    "unit_div100": Corruption(damage=_amounts(lambda a, _: a // 100), says="amounts are divided by 100", tables=_BOTH),
    "negative_amounts": Corruption(damage=_amounts(lambda a, _: -a), says="amounts are negative", tables=_BOTH),
    "zeros": Corruption(damage=_amounts(lambda a, _: a * 0), says="all amounts are 0", tables=_BOTH),
    "outlier_amounts": Corruption(damage=_amounts(_outliers), says="1% of the amounts are a million times too large"),
    "stuck_amount": Corruption(damage=_stuck("amount_minor"), says="all rows have one amount"),
    "stuck_device": Corruption(damage=_stuck("device_id"), says="all rows have one device_id"),
    "merchant_collapsed": Corruption(damage=_stuck("merchant_id"), says="all rows have one merchant_id"),
    "status_all_approved": Corruption(damage=_always("status", "approved"), says="every status is approved"),
    "null_card": Corruption(damage=_null("card_id"), says="60% of card_id are null"),
    "null_merchant": Corruption(damage=_null("merchant_id"), says="60% of merchant_id are null"),
    "null_amount": Corruption(damage=_null("amount_minor"), says="60% of amount_minor are null"),
    "country_nulls": Corruption(
        damage=_null("billing_country", "shipping_country", "ip_country"), says="60% of the rows have no country"
    ),
    "swapped_keys": Corruption(damage=_swapped("card_id", "device_id"), says="card_id and device_id are swapped"),
    "truncated_ids": Corruption(damage=_truncated, says="ids of cards, accounts and devices are cut to 2 digits"),
    "ids_recased": Corruption(damage=_recased, says="ids of cards, accounts, devices and merchants are upper case"),
    "currency_swapped": Corruption(damage=_currency_swapped, says="EUR and USD are swapped"),
    "shifted_zone_forward": Corruption(damage=_shifted(8), says="event_time is 8 hours too late", tables=_BOTH),
    "shifted_zone_back": Corruption(damage=_shifted(-8), says="event_time is 8 hours too early", tables=_BOTH),
    "future_times": Corruption(damage=_shifted(24 * 365, 0.5), says="half of event_time lies a year ahead"),
}
"""By name, in the order of a report."""


if __name__ == "__main__":
    sys.stdout.write(corrupt(Path(sys.argv[1]), sys.argv[2], seed=1) + "\n")
