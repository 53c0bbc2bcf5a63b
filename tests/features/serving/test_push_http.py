"""`POST /push`: Feast's request, what becomes of each row, and who may push."""

from pathlib import Path
from typing import Any

import pytest

from features.serving.app import create_app
from features.serving.push_http import PUSH_RIGHT
from features.serving.tokens import grant
from features.settings import load
from tests.features.serving.habits import CUT, HOUR
from tests.features.serving.server import serving
from tests.features.serving.test_states import BEFORE, CATALOG, LIVE, SINCE, SLIDING, put

ROW: dict[str, Any] = {**SINCE[0], "event_time": "2026-01-01T00:50:00+00:00"}
PATIENT = {"deadline_ms": 60_000}  # on a busy machine too
OPEN = {"auth": "none", **PATIENT}
BODY: dict[str, Any] = {
    "push_source_name": "payments",
    "df": {name: [value] for name, value in ROW.items()},
    "to": "online",
}


def test_an_event_that_is_pushed_is_looked_up(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T01:00:00Z", serving=OPEN)
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE, now=CUT + HOUR)
    lookup = {"feature_service": "now", "entities": {"card_id": ["c1"]}, "full_feature_names": True}
    with serving(create_app(settings, CATALOG)) as client:
        assert client.get("/ready").status_code == 200
        told = client.post("/push", json={**BODY, "watermark": "2026-01-01T00:59:00Z"})
        assert (told.status_code, told.json()) == (
            200,
            {"new": 1, "known": 0, "refused": {}, "watermark": "2026-01-01T00:59:00+00:00"},
        )
        assert client.post("/push", json=BODY).json() == {"new": 0, "known": 1, "refused": {}}
        answer = client.post("/get-online-features", json=lookup).json()
        named = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        assert named["live__sum_amount_24h"]["values"] == [250 + 30]
        assert named["live__sum_amount_24h"]["statuses"] == ["PRESENT"]
        document = client.get("/openapi.json").json()["paths"]["/push"]["post"]
        example = document["requestBody"]["content"]["application/json"]["examples"]["payments"]["value"]
        assert client.post("/push", json=example).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "The request is wrong at push_source_name: Field required. It is {"),
        ({"push_source_name": "payments"}, "The request has neither a row nor a watermark."),
        ({**BODY, "to": "offline"}, "The request is wrong at to: "),
        ({**BODY, "df": {**BODY["df"], "id": ["a", "b"]}}, "Give each one value for each row, the same number in all."),
        ({**BODY, "df": {"id": ["a"] * 10_001}}, "The request has 10001 rows; 10000 are the most. Push in parts."),
        ({**BODY, "watermark": "2026-01-01T00:00:00"}, "The request is wrong at watermark: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_push_is_said(tmp_path: Path, body: dict[str, Any], message: str) -> None:
    with serving(create_app(load(home=tmp_path, serving=OPEN), CATALOG)) as client:
        answer = client.post("/push", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["detail"]


def test_rows_of_which_none_fits_are_a_bad_request(tmp_path: Path) -> None:
    with serving(create_app(load(home=tmp_path, serving=OPEN), CATALOG)) as client:
        answer = client.post("/push", json={**BODY, "df": {**BODY["df"], "event_time": ["soon"]}})
        assert client.post("/push", json={**BODY, "push_source_name": "shops"}).status_code == 404
    assert (answer.status_code, answer.json()["new"]) == (400, 0)
    assert answer.json()["refused"]["0"].startswith("event_time: ")
    assert answer.json()["detail"].startswith("No row fits; the one at place 0: event_time: ")


def test_who_may_push(tmp_path: Path) -> None:
    settings = load(home=tmp_path, serving=PATIENT)
    with serving(create_app(settings, CATALOG)) as client:
        assert client.post("/push", json=BODY).status_code == 401
        reads = {"authorization": f"Bearer {grant(settings.tokens, 'checkout', ['now'])}"}
        refused = client.post("/push", json=BODY, headers=reads)
        assert refused.status_code == 403
        assert refused.json()["detail"] == (
            "The token of 'checkout' may not push to source 'payments'. `asof grant NAME --push payments` gives a token that may."
        )
        pushes = {"authorization": f"Bearer {grant(settings.tokens, 'till', [PUSH_RIGHT + 'payments'])}"}
        assert client.post("/push", json=BODY, headers=pushes).json()["new"] == 1
