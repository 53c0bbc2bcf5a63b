"""A body that differs from others by its entities is read as it is read by itself, whatever it is."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.serving import alike_bodies
from features.serving.alike_bodies import AlikeBodies
from features.serving.feast_http import Asked, asked

Read = Callable[[bytes], Asked]


def told(read: Read, body: bytes) -> object:
    """What it says, or what is wrong with it."""
    try:
        return repr(read(body))  # NaN is not NaN
    except InputError as error:
        return str(error)


def body(entities: Any, *, first: dict[str, Any] | None = None, last: dict[str, Any] | None = None) -> bytes:
    said = {"feature_service": "s"} if first is None and last is None else {}
    return json.dumps({**said, **(first or {}), "entities": entities, **(last or {})}).encode()


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Bodies that were read whole."""
    read = list[bytes]()

    def noted(body: bytes) -> Asked:
        read.append(body)
        return asked(body)

    monkeypatch.setattr(alike_bodies, "asked", noted)
    return read


FEATURES = [f"view:f{n}" for n in range(100)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"features": FEATURES}, {"full_feature_names": True}),
        ({"feature_service": "s"}, {}),
        ({}, {"feature_service": "é"}),
        ({"full_feature_names": False, "more": {"a": [1]}}, {"features": FEATURES, "also": "}"}),
    ],
)
def test_entities_are_read_between_what_came_before(
    first: dict[str, Any], last: dict[str, Any], whole: list[bytes]
) -> None:
    bodies = AlikeBodies()
    for user in range(10):
        sent = body({"user_id": [user, "é}"], "b": [None, 1.5]}, first=first, last=last)
        assert bodies.asked(sent) == asked(sent)
    wrong: list[Any] = [
        {},
        {"a": [1], "b": []},
        {"a": [[1]]},
        {"a": [1] * 10_001},
        {"a": 1},
        [],
        1,
        "x",
        {"a": [float("nan")]},
    ]
    for entities in wrong:
        sent = body(entities, first=first, last=last)
        assert told(bodies.asked, sent) == told(asked, sent)
    whole.clear()
    sent = body({"user_id": [7]}, first=first, last=last)
    assert bodies.asked(sent) == asked(sent)
    assert whole == []


@pytest.mark.parametrize(
    "sent",
    [
        b'{"entities": {"a": [%d]}, "feature_service": "s", "entities": {"a": [1]}}',
        b'{"entities": {"a": [1]}, "feature_service": "s", "entities": {"a": [%d]}}',
        b'{"more": {"entities": {"a": [%d]}}, "feature_service": "s", "entities": {"a": [1]}}',
        b'{"more": "\\"entities\\": 1", "feature_service": "s", "entities": {"a": [%d]}}',
        b'{"more": ["entities", {"x": {"a": [%d]}}], "feature_service": "s", "entities": {"a": [%d]}}',
        b'{"feature_service": "entities", "entities": {"a": [%d]}}',
        b'{"feature_service": "s", "entities"  :  {"a": [%d]}  }  ',
        b'{"\\u0065ntities": {"a": [%d]}, "feature_service": "s"}',
    ],
)
def test_where_entities_stand_is_not_taken_for_granted(sent: bytes) -> None:
    bodies = AlikeBodies()
    for user in (1, 1, 1, 2, 3, 45):
        one = sent.replace(b"%d", b"%d" % user)
        assert bodies.asked(one) == asked(one)


def test_an_instant_is_of_its_request() -> None:
    bodies = AlikeBodies()
    for second in range(5):
        sent = body({"a": [1]}, last={"feature_service": "s", "at": f"2026-03-02T06:00:0{second}Z"})
        assert bodies.asked(sent) == asked(sent)


def test_ends_that_differ_each_time_are_read_each_time(whole: list[bytes]) -> None:
    bodies = AlikeBodies()
    for number in range(200):
        bodies.asked(body({"a": [number]}, last={"feature_service": f"s{number}"}))
    assert len(whole) <= 200 + 4  # each, and one more to try each end that is kept
    whole.clear()
    for number in range(200):
        bodies.asked(body({"a": [number]}, first={"feature_service": f"s{number}"}))
    assert len(whole) == 200


def test_ends_of_which_one_is_the_end_of_another_are_told(whole: list[bytes]) -> None:
    bodies, lasts = AlikeBodies(), [{}, {"full_feature_names": True}, {"full_feature_names": False}]
    sent = [body({"a": [n]}, first={"feature_service": "s"}, last=last) for n in range(9) for last in lasts]
    for one in sent:
        assert bodies.asked(one) == asked(one)
    whole.clear()
    for one in reversed(sent):
        assert bodies.asked(one) == asked(one)
    assert whole == []


def test_a_long_body_is_not_kept(whole: list[bytes]) -> None:
    bodies = AlikeBodies()
    for _ in range(4):
        bodies.asked(body({"a": [1]}, first={"feature_service": "s" * 70_000}))
    assert len(whole) == 4


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
ENTITIES = st.dictionaries(st.text(max_size=3), st.lists(VALUES, min_size=1, max_size=1), min_size=1, max_size=3)
AROUND = st.fixed_dictionaries({}, optional={"features": st.lists(st.text(max_size=4), min_size=1, max_size=3), "full_feature_names": st.booleans(), "more": st.recursive(VALUES, lambda some: st.dictionaries(st.sampled_from(["entities", "a"]), some, max_size=2))})  # fmt: skip
SPACE = st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", "\t: ")])


@settings(max_examples=150)
@given(AROUND, AROUND, st.lists(ENTITIES | VALUES, min_size=3, max_size=6), SPACE, st.data())
def test_bodies_are_read_as_each_by_itself(
    first: dict[str, Any], last: dict[str, Any], some: Sequence[Any], space: tuple[str, str], data: st.DataObject,
) -> None:  # fmt: skip
    bodies = AlikeBodies()
    for entities in [*some, *some]:
        shape = {**first, "entities": entities, **last}
        text = json.dumps(shape, separators=space, ensure_ascii=data.draw(st.booleans())).encode(
            "utf-8", "surrogatepass"
        )
        if data.draw(st.booleans()) and data.draw(st.booleans()):
            cut = data.draw(st.integers(0, len(text)))
            text = text[:cut] + data.draw(st.sampled_from([b"", b"}", b'"', b"\xff", b" "])) + text[cut + 1 :]
        assert told(bodies.asked, text) == told(asked, text)
