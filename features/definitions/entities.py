"""Who a feature is about: a name and one or several key columns."""

from dataclasses import dataclass, field
from typing import Literal

from features.definitions.checks import complain, where_defined

__all__ = ["Entity", "KeyType"]

KeyType = Literal["string", "int64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Keys are bytes as given: no trimming, no case folding. A row with a null key column belongs to no entity."""

    name: str
    keys: tuple[str, ...]
    """Names of the key columns, as labels and lookups call them. Several together are one composite key."""

    type: KeyType = "string"
    description: str = ""
    where: str = field(default_factory=where_defined, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.keys or len(set(self.keys)) != len(self.keys):
            complain(
                self.where,
                f"Entity {self.name!r}",
                f"its keys are {self.keys!r}.",
                "Name one or several different columns.",
            )
