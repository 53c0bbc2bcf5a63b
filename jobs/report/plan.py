"""What a report is asked for: which payments are learned from and which are held back, and what a review costs. Instants are microseconds UTC."""

from dataclasses import dataclass

from features.definitions.names import utc
from features.errors import InputError

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Train is `[start, held_back - gap)`, then nothing, then what is held back: `[held_back, end)`.

    Raises:
        InputError: one of them would be empty, or a number makes no sense.
    """

    start: int
    held_back: int
    end: int
    gap: int
    """The embargo, in microseconds: what became of a payment is not known at once."""

    budget: float = 0.01
    """The share of an average day's payments that is reviewed on each day."""

    review_cost: float = 3.0
    """Euros."""

    honest: float = 0.1
    """The share of honest payments that is learned from; each stands for 1 / honest of them."""

    judged: float = 1.0
    """The share of honest payments of the held-back weeks that judges; each takes the places of 1 / judged of them in the budget."""

    samples: int = 200
    """Of the bootstrap."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.start >= self.train_end:
            msg = (
                f"Nothing is left to learn from: training would begin at {_text(self.start)} and end, a gap before the held-back weeks, at {_text(self.train_end)}. "
                "Give an earlier --start, a later --held-back or a shorter --gap."
            )
            raise InputError(msg)
        if self.held_back >= self.end:
            msg = f"--held-back {_text(self.held_back)} is not before --end {_text(self.end)}, so no weeks are held back. Payments from --held-back on, and before --end, judge the models."
            raise InputError(msg)
        for option, share in (("--budget", self.budget), ("--honest", self.honest), ("--judged", self.judged)):
            if not 0 < share <= 1:
                msg = f"{option} {share:g} is no share above 0 and at most 1. Write 0.01 for one payment in a hundred."
                raise InputError(msg)
        if not self.review_cost >= 0:
            msg = f"--review-cost {self.review_cost:g} is below 0. Give what one review costs, in euros."
            raise InputError(msg)

    @property
    def train_end(self) -> int:
        """Training ends before it."""
        return self.held_back - self.gap


def _text(instant: int) -> str:
    return f"{utc(instant):%Y-%m-%dT%H:%MZ}"
