"""What was measured of one frame: a flat mapping of metrics, and samples of keys. JSON-able, so that history costs no scan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Profile", "Sample", "overlap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The hashes of a key column that are 0 modulo `modulus`, a power of two: larger moduli choose subsets of smaller ones."""

    modulus: int
    hashes: frozenset[int]

    def thinned(self, modulus: int) -> frozenset[int]:
        """The part of it that a sample of a larger modulus would have."""
        return (
            self.hashes
            if modulus <= self.modulus
            else frozenset(value for value in self.hashes if value % modulus == 0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Metrics of one partition or cut. A metric that cannot be measured (no rows, all null) is missing."""

    subject: str
    at: str
    """The partition's ds, or the cut as text: sorts by time."""

    weekday: int
    """Of the day measured, from Monday 0."""

    metrics: Mapping[str, float]
    samples: Mapping[str, Sample] = field(default_factory=dict)

    @property
    def rows(self) -> float:
        """0 for an empty frame."""
        return self.metrics["rows"]

    def record(self) -> dict[str, Any]:
        """As JSON data."""
        samples = {
            name: {"modulus": item.modulus, "hashes": sorted(item.hashes)} for name, item in self.samples.items()
        }
        return {
            "subject": self.subject,
            "at": self.at,
            "weekday": self.weekday,
            "metrics": dict(self.metrics),
            "samples": samples,
        }

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> "Profile":
        """Back from `record`."""
        samples = {
            name: Sample(modulus=item["modulus"], hashes=frozenset(item["hashes"]))
            for name, item in record["samples"].items()
        }
        return cls(
            subject=record["subject"],
            at=record["at"],
            weekday=record["weekday"],
            metrics=record["metrics"],
            samples=samples,
        )


def overlap(sample: Sample, earlier: Iterable[Sample]) -> float | None:
    """The share of sampled keys that were seen in any earlier sample; None where the sample is empty or there is nothing to compare."""
    others = list(earlier)
    if not others:
        return None
    modulus = max(sample.modulus, *(other.modulus for other in others))
    own = sample.thinned(modulus)
    seen = frozenset().union(*(other.thinned(modulus) for other in others))
    return len(own & seen) / len(own) if own else None
