"""Whatever is sent to the service, it answers as its OpenAPI document says: never a 500, wrong requests refused in a sentence."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic_core import to_json
from schemathesis.schemas import BaseSchema

from features import Catalog
from features.serving.app import create_app
from features.serving.push_http import PUSH_RIGHT
from features.serving.tokens import grant
from features.settings import load
from tests.features.serving import test_states as states
from tests.features.serving.habits import (
    BOTH,
    CUT,
    HABIT_ROWS,
    HABITS,
    HOUR,
    ONE,
    PAIR_ROWS,
    PAIRS,
    PAYMENTS,
    SOME,
    TILL_ROWS,
    TILLS,
)  # fmt: skip
from tests.features.serving.habits import put as put_rows
from tests.features.serving.server import serving
from tests.strategies import NO_HEALTH_CHECK

CATALOG = Catalog(
    sources=(PAYMENTS,), views=(HABITS, PAIRS, TILLS, states.LIVE, states.SLIDING),
    services=(BOTH, ONE, SOME, *states.CATALOG.services),
)  # fmt: skip
SERVICES = [service.name for service in CATALOG.services]
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# That a request fits the schema does not make it a good one: its columns may differ in length, its instant be before the store's first cut.
UNCHECKED = "positive_data_acceptance"
OPEN = {"auth": "none", "deadline_ms": 60_000}


class Here:
    """A loaded service, and its document."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self.client, self.token = client, token
        self.url = f"{client.base_url}/openapi.json"
        self.document: BaseSchema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())

    def send(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        answer = self.client.post(
            path, content=body, headers={"content-type": "application/json", **headers}, timeout=60
        )
        told = (path, body[:2000], answer.status_code, answer.text[:500])
        assert answer.status_code < 500, told
        self.document[path]["POST"].validate_response(answer)
        if answer.status_code != 200:
            assert answer.json()["detail"].endswith("."), told
        return answer


@pytest.fixture(scope="module", params=[pytest.param("open", marks=pytest.mark.long), "tokens"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    serving_ = OPEN if request.param == "open" else {**OPEN, "auth": "tokens"}
    settings = load(home=tmp_path_factory.mktemp("hostile"), clock="2026-01-01T02:00:00Z", serving=serving_)
    for view in (states.LIVE, states.SLIDING):
        states.put(settings, view, states.BEFORE, now=CUT + HOUR)
    for view, rows in ((HABITS, HABIT_ROWS), (PAIRS, PAIR_ROWS), (TILLS, TILL_ROWS)):
        put_rows(settings, view, rows)
    token = grant(settings.tokens, "all", [*SERVICES, f"{PUSH_RIGHT}payments"])
    with serving(create_app(settings, CATALOG)) as client:
        yield Here(client, token)


def fuzzed(here: Here, folder: Path, *more: str) -> None:
    """Schemathesis as its users run it, against the document that the service serves."""
    command = [str(SCHEMATHESIS), "run", here.url, "--generation-database", "none", "--no-color", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def bearer(here: Here) -> list[str]:
    return ["-H", f"Authorization: Bearer {here.token}"]


@pytest.mark.slow
def test_each_example_of_the_document_is_accepted(here: Here, tmp_path: Path) -> None:
    fuzzed(here, tmp_path, "--phases", "examples", *bearer(here))


@pytest.mark.slow
@pytest.mark.parametrize("has_token", [True, False])
def test_the_service_answers_as_its_document_says(here: Here, tmp_path: Path, has_token: bool) -> None:  # noqa: FBT001
    more = bearer(here) if has_token else []
    fuzzed(here, tmp_path, "--exclude-checks", UNCHECKED, "--continue-on-failure", "--seed", "7", "-n", "150", *more)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_service_answers_as_its_document_says_for_minutes(here: Here, tmp_path: Path) -> None:
    fuzzed(here, tmp_path, "--exclude-checks", UNCHECKED, "--continue-on-failure", "-n", "10000", *bearer(here))


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from([0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**400])
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats() | WORDS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)
INSTANTS = st.sampled_from([
    None, "2026-01-01T02:00:00Z", "2026-01-01T02:00:00.123456789+14:00", "2026-01-01T02:00:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00",
    "2026-02-30T00:00:00Z", "1767225600", 1767225600, 0, "", "now", "9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z", "1969-12-31T23:59:59.999999Z",
]) | st.datetimes().map(lambda at: f"{at.isoformat()}Z")  # fmt: skip
FEATURES = [f"{view.name}:{name}" for view in CATALOG.views for name in view.types]
PAID: dict[str, list[Any]] = {
    "id": ["p"],
    "card_id": ["c1"],
    "shop": ["s"],
    "till_id": [1],
    "amount": [5],
    "event_time": ["2026-01-01T01:30:00Z"],
}


CARDS = st.sampled_from(["c1", "c2", "c3", "nobody", "", None]) | WORDS
TILL_IDS = st.sampled_from([8, -7, 0, "8", None]) | st.integers(-(2**63), 2**63 - 1)
COLUMNS = {"card_id": CARDS, "shop": st.sampled_from(["s", None]) | WORDS, "till_id": TILL_IDS}
ASKED = {"both": ["card_id", "shop"], "till": ["till_id"], "some": ["card_id"], "now": ["card_id"]}


def of_rows(names: list[str]) -> st.SearchStrategy[dict[str, list[Any]]]:
    return st.integers(1, 5).flatmap(
        lambda rows: st.fixed_dictionaries(
            {name: st.lists(COLUMNS[name], min_size=rows, max_size=rows) for name in names}
        )
    )


def of_service(name: str) -> st.SearchStrategy[dict[str, Any]]:
    more = {"full_feature_names": st.booleans(), "at": st.just("2026-01-01T02:00:00Z") | INSTANTS}
    return st.fixed_dictionaries({"feature_service": st.just(name), "entities": of_rows(ASKED[name])}, optional=more)


OF_FEATURES = st.fixed_dictionaries(
    {"features": st.lists(st.sampled_from(FEATURES), min_size=1, max_size=5, unique=True), "entities": of_rows(["card_id"])},
    optional={"full_feature_names": st.just(value=True)},
)  # fmt: skip


def of_push(rows: int) -> st.SearchStrategy[dict[str, Any]]:
    cells = {name: st.sampled_from([*good, None]) | WORDS | NUMBERS | INSTANTS for name, good in PAID.items()}
    columns: dict[str, st.SearchStrategy[Any]] = {
        name: st.lists(cell, min_size=rows, max_size=rows) | st.just(PAID[name] * rows) for name, cell in cells.items()
    }
    made: dict[str, st.SearchStrategy[Any]] = {
        "push_source_name": st.just("payments"),
        "df": st.fixed_dictionaries(columns),
    }
    return st.fixed_dictionaries(made, optional={"to": st.just("online"), "watermark": INSTANTS})


OF_PUSHES = st.integers(1, 3).flatmap(of_push)


@st.composite
def bent(draw: st.DrawFn, good: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Right, or wrong in one place or two: something else there, nothing, or one thing more."""
    made = draw(good)
    for _ in range(draw(st.integers(0, 2))):
        inner = draw(st.sampled_from([made, *(each for each in made.values() if isinstance(each, dict))]))
        if inner:
            name = draw(st.sampled_from(sorted(inner)))
            match draw(st.integers(0, 3)):
                case 0:
                    inner[name] = draw(JSON)
                case 1:
                    del inner[name]
                case 2:
                    inner[draw(WORDS)] = inner[name]
                case _:
                    inner[name] = inner[name] * 2 if isinstance(inner[name], (list, str)) else [inner[name]]
    return made


LOOKUPS = bent(st.sampled_from(SERVICES).flatmap(of_service) | OF_FEATURES)
PUSHES = bent(OF_PUSHES)
ARROW = "application/vnd.apache.arrow.stream"


def sent(here: Here, lookup: dict[str, Any], push: dict[str, Any], accept: str) -> None:
    mine = {"authorization": f"Bearer {here.token}", "accept": accept}
    here.send("/get-online-features", to_json(lookup, inf_nan_mode="constants"), **mine)
    here.send("/push", to_json(push, inf_nan_mode="constants"), **mine)


@pytest.mark.slow
@seed(7)
@examples(max_examples=800, suppress_health_check=NO_HEALTH_CHECK, database=None)
@given(LOOKUPS, PUSHES, st.sampled_from(["*/*", ARROW]))
def test_requests_that_are_nearly_right_are_answered(
    here: Here, lookup: dict[str, Any], push: dict[str, Any], accept: str
) -> None:
    sent(here, lookup, push, accept)


@pytest.mark.long
@pytest.mark.timeout(3600)
@examples(max_examples=10_000, suppress_health_check=NO_HEALTH_CHECK, database=None)
@given(LOOKUPS, PUSHES, st.sampled_from(["*/*", ARROW]))
def test_requests_that_are_nearly_right_are_answered_for_minutes(
    here: Here, lookup: dict[str, Any], push: dict[str, Any], accept: str
) -> None:
    sent(here, lookup, push, accept)


GOOD = b'{"feature_service": "some", "entities": {"card_id": ["c1"]}}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"0", b'"', b"{", b"\xff\xfe", b"\xef\xbb\xbf" + GOOD, b"[" * 100_000, b'{"a":' * 100_000, GOOD[:-1], GOOD + GOOD,
        GOOD.replace(b'"c1"', b'"\\ud800"'), GOOD.replace(b'"c1"', b"1e999"), GOOD.replace(b'"c1"', b"NaN"), GOOD.replace(b'"c1"', b"1" * 5000),
        GOOD.replace(b'"c1"', b'"\\u0000"'), GOOD.replace(b'"c1"', b'"' + b"x" * 1_000_000 + b'"'), GOOD.replace(b'"c1"', b"-0"),
        b'{"entities": {"card_id": ["c1"]}, ' + GOOD[1:], GOOD.replace(b'"card_id"', b'"card_id": ["c2"], "card_id"'),
        GOOD.replace(b'["c1"]', b"[[[]]]"), GOOD.replace(b'"some"', b'"some\\n"'), GOOD.replace(b'"c1"', b"\xc3\x28"), b" " * 9_000_000,
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_bytes_that_are_no_request_are_refused_in_a_sentence(here: Here, body: bytes) -> None:
    mine = {"authorization": f"Bearer {here.token}"}
    for path in ("/get-online-features", "/push"):
        here.send(path, body, **mine)
        if here.token and "Bearer" in str(mine):
            here.send(path, body)
    good = here.send("/get-online-features", GOOD, **mine)
    assert good.json()["results"][1]["values"] == [350.0]
