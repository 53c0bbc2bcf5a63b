"""What a corruption is: one kind of damage to a day's landing files."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["Corruption", "Damage", "put"]

Damage = Callable[[pa.Table, pa.Table, np.random.Generator], pa.Table]
"""(the day, the day before it, randomness) -> the damaged day, of the same schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One kind of damage."""

    damage: Damage
    says: str
    """A sentence's end: what was done."""

    tables: tuple[str, ...] = ("payments",)
    """What suffers; `truth` is the truth about attacks, of all days."""


def put(rows: pa.Table, name: str, values: Any) -> pa.Table:  # noqa: ANN401  whatever Arrow takes
    """`values` in place of a column, in its declared type."""
    position = rows.schema.get_field_index(name)
    field = rows.schema.field(position)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return rows.set_column(position, field, array.cast(field.type))
