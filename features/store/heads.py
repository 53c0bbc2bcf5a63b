"""The head record of a view: which generation the store holds, and so what is stale, too old or not there."""

from dataclasses import dataclass

from features.definitions.compiled import hash_of
from features.definitions.expressions import ColumnType
from features.definitions.names import cut_text, utc
from features.definitions.views import FeatureView
from features.errors import BusyError

__all__ = ["STATUS", "Head", "Layout", "Loaded", "refuse_early", "settled", "twice"]

STATUS = "asof_status"
"""The column that stands beside the values: ok or overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The live generation of a view. Instants and spans are microseconds."""

    view: str
    generation: int
    """Counts completed loads from 1."""
    cut: int
    valid_from: int
    """From here on readers may take it: cut + publish lag."""
    horizon: int
    """So long after the cut its values are not stale."""
    definition: str
    """Hash of the definition that the values follow."""
    rows: int
    loaded_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a store must know of a view to write a cut of it: plain data, so that it travels to Spark's tasks."""

    view: str
    keys: tuple[str, ...]
    key_type: str
    features: tuple[tuple[str, ColumnType], ...]
    """In the order of their names, the status among them."""
    cut: int
    valid_from: int
    horizon: int
    definition: str
    stateful: bool = False
    """Its rows hold states and no plain values."""
    feast_layout: bool = True
    """Plain values are written in Feast's own layout too."""

    @classmethod
    def of(cls, view: FeatureView, cut: int) -> "Layout":
        """The layout of one cut of a view."""
        types: dict[str, ColumnType] = {} if view.stateful else {**view.types, STATUS: "string"}
        return cls(
            view=view.name, keys=view.keys, key_type=view.entity.type, features=tuple(sorted(types.items())), cut=cut,
            valid_from=cut + view.schedule.lag_us, horizon=view.horizon_us, definition=hash_of(view), stateful=view.stateful,
            feast_layout=view.feast_layout,
        )  # fmt: skip

    def head(self, *, generation: int, rows: int, loaded_at: int) -> Head:
        """The record once all rows are there."""
        return Head(
            view=self.view, generation=generation, cut=self.cut, valid_from=self.valid_from, horizon=self.horizon,
            definition=self.definition, rows=rows, loaded_at=loaded_at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load did."""

    head: Head
    """The live generation after it."""
    written: int = 0
    """Keys."""
    already: int = 0
    """Of these, so many had been written by a load of the same that was killed."""
    removed: int = 0
    """Keys of the generation before that the new one does not have."""
    sentence: str | None = None
    """Why nothing was written; None where it was."""


def settled(head: Head | None, layout: Layout) -> Loaded | None:
    """Nothing to do: this cut by this definition is live, or a newer one is. None where a load is due."""
    if head is None or head.cut < layout.cut or (head.cut == layout.cut and head.definition != layout.definition):
        return None
    if head.cut == layout.cut:
        return Loaded(
            head=head,
            sentence=f"{layout.view}: cut {cut_text(layout.cut)} is already in the online store ({head.rows} keys).",
        )
    return Loaded(
        head=head,
        sentence=f"{layout.view}: the online store already holds the newer cut {cut_text(head.cut)}; cut {cut_text(layout.cut)} stays out.",
    )


def refuse_early(layout: Layout, now: int) -> None:
    """A plain value is read as soon as it is written, so no load may end before its `valid_from`.

    Raises:
        BusyError: with the instant from which on it may be tried.
    """
    if now < layout.valid_from:
        msg = (
            f"Cut {cut_text(layout.cut)} of view {layout.view!r} is valid from {utc(layout.valid_from).isoformat()} on; now is "
            f"{utc(now).isoformat()}. Loaded earlier it would be read too early. Run the same command again then."
        )
        raise BusyError(msg)


def twice(layout: Layout) -> str:
    """What a load says whose cut has a key in two rows."""
    return (
        f"Cut {cut_text(layout.cut)} of view {layout.view!r} holds a key twice ({', '.join(layout.keys)}). "
        "Nothing was loaded; compute and publish the cut again."
    )
