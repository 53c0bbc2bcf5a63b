"""Questions about one entity each are those that somebody would have written out."""

from features.store.one_each import Alike, OneEach
from features.store.reads import Question


def test_each_question_is_about_the_entity_of_its_view() -> None:
    asked = OneEach(Alike(("habits", "tills", "sums"), (0, 1, 0)), (b"card", b"till"))
    written = [Question("habits", (b"card",)), Question("tills", (b"till",)), Question("sums", (b"card",))]
    assert list(asked) == written
    assert (len(asked), asked[-1], asked[1:]) == (3, written[2], written[1:])
