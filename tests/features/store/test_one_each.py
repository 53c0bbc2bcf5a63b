"""Questions about one entity each are those that somebody would have written out."""

from features.store.one_each import Alike, OneEach
from features.store.reads import Question


def test_each_question_is_about_the_entity_of_its_view() -> None:
    asked = OneEach(
        Alike(("habits", "tills", "sums", "live"), (0, 1, 0, 1), (None, None, "", "payments")), (b"card", b"till"), 7
    )
    written = [
        Question("habits", (b"card",)),
        Question("tills", (b"till",)),
        Question("sums", (b"card",), states=True, at=7),
        Question("live", (b"till",), states=True, at=7, tail="payments"),
    ]
    assert list(asked) == written
    assert (len(asked), asked[-1], asked[1:]) == (4, written[3], written[1:])
