"""The HTTP service: Feast's request and answer, tokens and rights, honest codes, counts."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from features.serving.app import create_app
from features.serving.tokens import grant, revoke
from features.settings import Settings, load
from tests.features.serving.habits import CATALOG, HABIT_ROWS, HABITS, PAIR_ROWS, PAIRS, TILL_ROWS, TILLS, put
from tests.features.serving.server import serving


def made(home: Path, clock: str = "2026-01-01T02:00:00Z", **serving: object) -> Settings:
    return load(home=home, clock=clock, serving={"deadline_ms": 60_000, **serving})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = made(tmp_path, auth="none")
    for view, batch in ((HABITS, HABIT_ROWS), (PAIRS, PAIR_ROWS), (TILLS, TILL_ROWS)):
        put(settings, view, batch)
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with serving(create_app(settings, CATALOG)) as client:
        yield client


def asked(client: httpx.Client, body: Any, code: int = 200, **headers: str) -> httpx.Response:
    response = client.post("/get-online-features", json=body, headers=headers)
    assert response.status_code == code, response.text
    return response


SOME = {"feature_service": "some", "entities": {"card_id": ["c1", "c9", None]}}


def test_the_answer_is_feasts_and_says_what_is_not_there(client: httpx.Client) -> None:
    answer = asked(client, SOME).json()
    assert answer["metadata"]["feature_names"] == ["card_id", "mean_amount_7d"]
    never = "1970-01-01T00:00:00Z"
    assert answer["results"] == [
        {"values": ["c1", "c9", None], "statuses": ["PRESENT"] * 3, "event_timestamps": [never] * 3},
        {"values": [350.0, None, None], "statuses": ["PRESENT", "NOT_FOUND", "NOT_FOUND"],
         "event_timestamps": ["2026-01-01T01:00:00Z", never, never]},
    ]  # fmt: skip
    told = answer["metadata"]["asof"]
    assert told["at"] == "2026-01-01T02:00:00Z"
    assert told["views"]["habits"]["statuses"] == ["ok", "never_seen", "no_key"]
    assert told["views"]["habits"]["cut"] == "2026-01-01T00:00:00Z"


def test_zeros_of_keys_that_were_never_seen_and_nulls_that_are_there(client: httpx.Client) -> None:
    body = {"features": ["habits:count_7d", "habits:sum_amount_7d"], "entities": {"card_id": ["c2", "c9"]}}
    answer = asked(client, {**body, "full_feature_names": True}).json()
    assert answer["metadata"]["feature_names"] == ["card_id", "habits__count_7d", "habits__sum_amount_7d"]
    _, count, total = answer["results"]
    assert (count["values"], count["statuses"]) == ([3, 0], ["PRESENT", "NOT_FOUND"])
    assert (total["values"], total["statuses"]) == ([None, 0], ["NULL_VALUE", "NOT_FOUND"])


@pytest.mark.usefixtures("settings")
def test_an_old_cut_is_outside_its_age_and_still_there(tmp_path: Path) -> None:
    late = made(tmp_path, clock="2026-01-09T00:00:00Z", auth="none")
    with serving(create_app(late, CATALOG)) as client:
        result = asked(client, SOME).json()["results"][1]
    assert result["values"][0] == 350.0
    assert set(result["statuses"][:2]) == {"OUTSIDE_MAX_AGE"}


def test_integers_and_instants_come_back_exactly(client: httpx.Client) -> None:
    answer = asked(client, {"feature_service": "till", "entities": {"till_id": [-7, 8, 2**63 - 1]}}).json()
    assert answer["results"][0]["values"] == [-7, 8, 2**63 - 1]
    assert answer["results"][1]["values"] == [-1, None, None]


def test_the_instant_may_be_given(client: httpx.Client) -> None:
    answer = asked(client, {**SOME, "at": "2026-01-01T05:30:00+02:00"}).json()
    assert answer["metadata"]["asof"]["at"] == "2026-01-01T03:30:00Z"
    assert "had other values than the store holds" in asked(client, {**SOME, "at": "2025-12-31T23:00:00Z"}, 400).text


def test_many_rows_come_as_arrow(client: httpx.Client) -> None:
    body = {"feature_service": "both", "entities": {"card_id": ["c1", "c2"] * 500, "shop": ["s"] * 1000}}
    response = asked(client, body, accept="application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(response.content).read_all()
    assert table.num_rows == 1000
    assert table["habits__count_7d"].to_pylist()[:2] == [2, 3]
    assert table.schema.field("habits__mean_amount_7d").type == pa.float64()
    nobody = asked(
        client, {**body, "entities": {"card_id": [None], "shop": [None]}}, accept="application/vnd.apache.arrow.stream"
    )
    assert pa.ipc.open_stream(nobody.content).read_all().schema == table.schema
    assert table["pairs__asof_status"].to_pylist()[:2] == ["ok", "never_seen"]


def test_many_rows_say_what_each_says_alone(client: httpx.Client) -> None:
    cards = ["c1", "c9", "c2", None] * 20
    many = asked(client, {"feature_service": "some", "entities": {"card_id": cards}}).json()["results"][1]
    for place, card in enumerate(cards[:4]):
        one = asked(client, {"feature_service": "some", "entities": {"card_id": [card]}}).json()["results"][1]
        for part, (alone,) in one.items():
            assert many[part][place::4] == [alone] * 20
    twice = {"features": ["habits:count_7d", "pairs:count_7d"], "entities": {"card_id": cards, "shop": ["s"] * 80}}
    assert "full_feature_names" in asked(client, twice, 400).text  # what is refused as it is written


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"{", 400, "The request is wrong at the body: Invalid JSON"),
        (b"[]", 400, "Input should be an object"),
        (b"\xff\xfe", 400, "The request is wrong at the body"),
        (b'{"feature_service": "some"}', 400, "The request is wrong at entities: Field required"),
        (b'{"feature_service": "some", "entities": {"card_id": "c1"}}', 400, "at entities.card_id: Input should be a valid array"),
        (b'{"feature_service": "some", "entities": {"card_id": [1.5]}}', 400, "The key card_id=1.5 is float, but card_id of entity 'card' is text"),
        (b'{"feature_service": "some", "entities": {"card_id": [true]}}', 400, "The key card_id=True is bool, but card_id of entity 'card' is text"),
        (b'{"feature_service": "some", "entities": {"card_id": []}}', 400, "The request has no row"),
        (b'{"feature_service": "both", "entities": {"card_id": ["a"], "shop": []}}', 400, "the same number in all"),
        (b'{"feature_service": "some", "entities": {}}', 400, "The entities have no rows"),
        (b'{"entities": {"card_id": ["c"]}}', 400, 'needs either "feature_service" or "features"'),
        (b'{"features": ["habits"], "entities": {"card_id": ["c"]}}', 400, "is not written as view:feature"),
        (b'{"features": ["habits:count_7d", "habits:count_7d"], "entities": {"card_id": ["c"]}}', 400, "asked for twice"),
        (b'{"features": ["habits:nope"], "entities": {"card_id": ["c"]}}', 404, "There is no feature of view 'habits' 'nope'"),
        (b'{"features": ["nope:count"], "entities": {"card_id": ["c"]}}', 404, "There is no view 'nope'"),
        (b'{"feature_service": "nope", "entities": {"card_id": ["c"]}}', 404, "There is no service 'nope'"),
        (b'{"feature_service": "some", "entities": {"user": ["c"]}}', 400, "it lacks card_id; nobody asked for user"),
        (b'{"feature_service": "till", "entities": {"till_id": ["x"]}}', 400, "is no whole number of 64 bits"),
        (b'{"feature_service": "both", "entities": {"card_id": ["c"], "shop": ["s"]}}', 400, "Several views have a feature count_7d"),
        (b'{"feature_service": "now", "entities": {"card_id": ["c"]}}', 400, "which has no lookups"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_said(client: httpx.Client, body: bytes, code: int, reason: str) -> None:
    response = client.post("/get-online-features", content=body)
    assert (response.status_code, reason in response.json()["detail"]) == (code, True), response.text


def test_too_many_rows_and_too_many_bytes(client: httpx.Client) -> None:
    rows = {"feature_service": "some", "entities": {"card_id": ["c"] * 10_001}}
    assert "10001 rows; 10000 are the most" in asked(client, rows, 400).json()["detail"]
    large = client.post("/get-online-features", content=b" " * (8 << 20) + b"{}")
    assert (large.status_code, "larger than 8 MB" in large.text) == (413, True)


def test_a_view_that_is_not_loaded_is_not_the_callers_fault(tmp_path: Path) -> None:
    with serving(create_app(made(tmp_path, auth="none"), CATALOG)) as client:
        response = asked(client, SOME, 503)
        assert "holds no values of view 'habits'" in response.json()["detail"]
        assert response.headers["retry-after"] == "1"
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert [reason.split(".")[0] for reason in ready.json()["because"]] == [
            f"The online store holds no values of view {name!r}" for name in ("habits", "pairs", "tills")
        ]
        assert client.get("/health").json() == {"status": "ok"}


def test_what_is_loaded_after_the_service_started_is_found(tmp_path: Path) -> None:
    settings = made(tmp_path, auth="none", threads=1)
    with serving(create_app(settings, CATALOG)) as client:
        asked(client, SOME, 503)
        put(settings, HABITS, HABIT_ROWS)
        assert asked(client, SOME).json()["results"][1]["values"][0] == 350.0


def test_ready_once_all_is_loaded(client: httpx.Client) -> None:
    response = client.get("/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "because": []})


def test_a_store_that_is_broken_is_told(settings: Settings) -> None:
    settings.online_db.write_bytes(b"nothing that SQLite knows" * 100)
    with serving(create_app(settings, CATALOG)) as client:
        assert "file is not a database. Move the file away" in asked(client, SOME, 503).json()["detail"]


@pytest.mark.usefixtures("settings")
def test_a_request_past_its_deadline_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from features.store.sqlite_store import SqliteStore

    right = SqliteStore.ask

    def slow(self: SqliteStore, questions: Any) -> Any:
        time.sleep(0.3)
        return right(self, questions)

    monkeypatch.setattr(SqliteStore, "ask", slow)
    with serving(create_app(made(tmp_path, auth="none", deadline_ms=50), CATALOG)) as client:
        assert "No answer within 50 ms" in asked(client, SOME, 504).json()["detail"]


@pytest.mark.usefixtures("settings")
def test_tokens_say_who_may_read_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    guarded = made(tmp_path)
    with serving(create_app(guarded, CATALOG)) as client, caplog.at_level(logging.WARNING, "asof.serve"):
        assert "The request has no token" in asked(client, SOME, 401).json()["detail"]
        token = grant(guarded.tokens, "checkout", ["some"])
        bearer = f"Bearer {token}"
        assert asked(client, SOME, authorization=bearer).json()["results"][1]["values"][0] == 350.0
        reason = asked(client, {**SOME, "feature_service": "till"}, 403, authorization=bearer).json()["detail"]
        assert "'checkout' may not read service 'till'; it may read some" in reason
        own = {"features": ["habits:mean_amount_7d"], "entities": {"card_id": ["c1"]}}
        asked(client, own, authorization=bearer)
        other = {"features": ["habits:mean_amount_7d", "habits:count_7d"], "entities": {"card_id": ["c1"]}}
        assert "may not read feature(s) habits:count_7d" in asked(client, other, 403, authorization=bearer).text
        revoke(guarded.tokens, "checkout")
        refused = asked(client, SOME, 401, authorization=bearer)
        assert "is not known: it was revoked or replaced" in refused.json()["detail"]
        assert refused.headers["www-authenticate"] == "Bearer"
    assert "Refused service 'till' to checkout" in caplog.text
    assert "no token" in caplog.text
    for secret in (token, "c1"):
        assert secret not in caplog.text
    assert token not in guarded.tokens.read_text()
    assert guarded.tokens.stat().st_mode & 0o077 == 0


def counted(client: httpx.Client) -> dict[str, float]:
    """Name and labels of each count to its number."""
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_what_was_answered_is_counted(client: httpx.Client) -> None:
    # Where another test brought Feast into the process, the counts of all services in it go on from one another.
    asked(client, SOME)
    asked(client, {}, 400)
    before = counted(client)
    asked(client, SOME)
    asked(client, {}, 400)
    after = counted(client)
    for name, more in (
        ('asof_requests_total{code="200",path="/get-online-features"}', 1),
        ('asof_requests_total{code="400",path="/get-online-features"}', 1),
        ('asof_rows_total{status="never_seen",view="habits"}', 1),
        ('asof_request_seconds_count{path="/get-online-features"}', 2),
        ('asof_request_seconds_bucket{le="+Inf",path="/get-online-features"}', 2),
    ):
        assert after[name] - before[name] == more, name


def test_a_failure_of_ours_shows_no_trace(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from features.serving.feast_answers import Answers

    monkeypatch.setattr(Answers, "write", lambda *_: 1 / 0)
    response = asked(client, SOME, 500)
    assert "Its log has the cause under" in response.json()["detail"]
    assert "ZeroDivisionError" not in response.text
    assert "ZeroDivisionError" in caplog.text


def test_the_openapi_document_shows_requests_that_work(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    route = document["paths"]["/get-online-features"]["post"]
    examples = route["requestBody"]["content"]["application/json"]["examples"]
    assert sorted(examples) == ["both", "some", "till"]
    for example in examples.values():
        asked(client, example["value"])
    assert {"200", "400", "401", "403", "404", "413", "503", "504"} <= set(route["responses"])
    (_, required) = route["security"]
    assert set(required) <= set(document["components"]["securitySchemes"])
