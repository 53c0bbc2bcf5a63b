"""Rows that cannot be, one kind at a time: what ingest, expectations or a reader of the truth must refuse, or bear."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.simulate.damage import Corruption, Damage, put

__all__ = ["BAD_ROWS"]

_DAY_US: Final = 86_400_000_000


def _some(count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """One row in a hundred, at least one of a file of any size."""
    hit: npt.NDArray[np.bool_] = rng.random(count) < 0.01  # noqa: PLR2004
    if count:
        hit[rng.integers(count)] = True
    return hit


def _set(name: str, value: str | float) -> Damage:
    """Some rows have this value."""

    def damage(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
        hit = _some(rows.num_rows, rng)
        return put(rows, name, np.where(hit, value, rows[name].to_numpy(zero_copy_only=False)))

    return damage


def _long_before(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Some events happened 160 days earlier, which is before every payment they could be about."""
    hit = _some(rows.num_rows, rng)
    instants = rows["event_time"].cast(pa.int64()).to_numpy() - np.where(hit, 160 * _DAY_US, 0)
    return put(rows, "event_time", pa.array(instants))


def _one_more_merchant(rows: pa.Table, earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    """A merchant that nobody pays, as one of this day or the day before but for its id: no event will ever name it."""
    known = pa.concat_tables([earlier, rows])
    silent = put(
        known.slice(known.num_rows - 1), "merchant_id", [f"mer_{int(rng.integers(1 << 40)):010x}"][: known.num_rows]
    )
    if known.num_rows and not rows.num_rows:
        for name in ("event_time", "ingested_at"):
            silent = put(silent, name, pa.array(silent[name].cast(pa.int64()).to_numpy() + _DAY_US))
    return pa.concat_tables([rows, silent])


def _unknown_payment(rows: pa.Table, _earlier: pa.Table, rng: np.random.Generator) -> pa.Table:
    made = {"payment_id": f"pay_{int(rng.integers(1 << 40)):010x}", "attack": "stolen_card", "campaign": "campaign_0"}
    return pa.concat_tables([rows, pa.Table.from_pylist([made], schema=rows.schema)])


BAD_ROWS: Final[dict[str, Corruption]] = {
    "dispute_before_payment": Corruption(
        damage=_long_before, tables=("disputes",), says="1% of the disputes happened before their payments"
    ),
    "unknown_currency": Corruption(damage=_set("currency", "XXX"), says="1% of the payments are in the currency XXX"),
    "coordinates_out_of_range": Corruption(
        damage=_set("lat", 123.4), tables=("logins",), says="1% of the logins lie at latitude 123.4"
    ),
    "merchant_without_payments": Corruption(
        damage=_one_more_merchant, tables=("merchants",), says="there is a merchant that nobody pays"
    ),
    "label_of_unknown_payment": Corruption(
        damage=_unknown_payment, tables=("truth",), says="the truth labels a payment that never was"
    ),
}
"""By name. A merchant without payments is no error: its features have their defaults."""
