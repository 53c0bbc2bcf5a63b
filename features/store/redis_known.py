"""What the records of views say, remembered as long as their stamp is the same: nearly every lookup asks for that instead of a record a view.

Whatever changes what a record says to readers sets the stamp anew in the same step, so that an answer with the stamp of before is as if the records had come with it
(decision 33). A record that somebody changed by hand, or a load by a version of Asof that knows no stamp, is seen after a second.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from features.store.heads import Head
from features.store.reads import Question
from features.store.redis_shapes import Live

__all__ = ["Known"]

_SECONDS = 1.0
"""Then records are read again, whatever the stamp says."""


class Known(NamedTuple):
    """Of one instant; it is replaced as a whole, so that threads may share it."""

    lives: Mapping[str, Live] = {}
    """View to what its head record said last; of those that are not `sure` a guess, so that its rows may be asked for beside the record."""
    generations: Mapping[str, tuple[Head, ...]] = {}
    """View to its generations of states likewise."""
    stamp: bytes | None = None
    """Under which the `sure` ones hold; None: there is none."""
    sure: frozenset[str] = frozenset()
    ends: float = 0.0
    """By the monotonic clock; then nothing is sure any more."""

    def is_sure(self, questions: Sequence[Question]) -> bool:
        """Whether no record need be asked for."""
        views = {question.view for question in questions}
        return self.stamp is not None and self.sure >= views and time.monotonic() < self.ends

    def doubted(self) -> "Known":
        """The stamp is another."""
        return self._replace(stamp=None, sure=frozenset())

    def told(
        self, stamp: bytes | None, plain: Mapping[str, Live], generations: Mapping[str, tuple[Head, ...]]
    ) -> "Known":
        """After some records were read, with the stamp."""
        views, now = {*plain, *generations}, time.monotonic()
        is_same = stamp is not None and stamp == self.stamp and now < self.ends
        return Known(
            lives={**self.lives, **plain},
            generations={**self.generations, **generations},
            stamp=stamp,
            sure=frozenset(self.sure | views if is_same else views),
            ends=self.ends if is_same else now + _SECONDS,
        )
