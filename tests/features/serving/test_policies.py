"""What a service gives for values that are missing or stale: as its policies say, by reader and over HTTP; statuses never change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features import Catalog, FeatureService, Policy
from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.errors import MissingError, StaleError
from features.serving.app import create_app
from features.serving.reader import Reader
from features.settings import Settings, load
from tests.features.serving.habits import CATALOG, CUT, DAY, HABIT_ROWS, HABITS, HOUR, put
from tests.features.serving.server import serving

FRESH, LATE = CUT + 2 * HOUR, CUT + 9 * DAY


def catalog(*policies: Policy) -> Catalog:
    return replace(CATALOG, services=(FeatureService(name="checkout", views=(HABITS,), policies=policies),))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(home=tmp_path, clock="2026-01-01T02:00:00Z", serving={"auth": "none", "deadline_ms": 60_000})
    put(made, HABITS, HABIT_ROWS)
    return made


def looked(settings: Settings, at: int, *policies: Policy) -> list[dict[str, Any]]:
    with Reader(settings, catalog(*policies)) as reader:
        rows = reader.lookup("checkout", [{"card_id": card} for card in ("c1", "nobody", None)], at).rows
    return [{"status": row.views[0].status, **row.views[0].values} for row in rows]


def test_without_a_policy_values_are_served_beside_their_status(settings: Settings) -> None:
    fresh = looked(settings, FRESH)
    assert [row["status"] for row in fresh] == ["ok", "never_seen", "no_key"]
    assert [row["count_7d"] for row in fresh] == [2, 0, None]
    assert looked(settings, FRESH, Policy(view="habits")) == fresh
    assert [row["count_7d"] for row in looked(settings, LATE)] == [2, 0, None]


def test_a_policy_of_a_feature_outdoes_one_of_its_view(settings: Settings) -> None:
    policies = (
        Policy(view="habits", feature="count_7d", missing="default", stale="serve"),
        Policy(view="habits", missing="null", stale="default"),
    )
    fresh, late = looked(settings, FRESH, *policies), looked(settings, LATE, *policies)
    assert [row["status"] for row in fresh] == ["ok", "never_seen", "no_key"]
    assert [row["count_7d"] for row in fresh] == [2, 0, 0]
    assert [row["count_30d"] for row in fresh] == [5, None, None]
    assert [row["mean_amount_7d"] for row in fresh] == [350.0, None, None]
    assert [row["status"] for row in late] == ["stale", "stale", "no_key"]
    assert [row["count_7d"] for row in late] == [2, 0, 0]
    assert [row["count_30d"] for row in late] == [0, 0, None]
    assert [row["mean_amount_7d"] for row in late] == [None, None, None]


def test_to_fail_says_which_feature_and_row_and_never_a_key(settings: Settings) -> None:
    with pytest.raises(
        MissingError,
        match=r"Service 'checkout' takes habits\.count_7d from no key that is never_seen, no_key, and 2 of 3 keys are \(row 2 first\)",
    ) as missing:
        looked(settings, FRESH, Policy(view="habits", feature="count_7d", missing="fail"))
    assert "nobody" not in str(missing.value)
    failing = Policy(view="habits", stale="fail")
    assert looked(settings, FRESH, failing) == looked(settings, FRESH)
    with pytest.raises(StaleError, match=r"from no key that is stale, and 2 of 3 keys are \(row 1 first\)"):
        looked(settings, LATE, failing)


def test_over_http_a_stale_value_is_503_and_a_missing_one_404(settings: Settings) -> None:
    body = {"feature_service": "checkout", "entities": {"card_id": ["c1", "nobody"]}}
    failing = catalog(Policy(view="habits", missing="fail", stale="fail"))
    with serving(create_app(settings, failing)) as client:
        answer = client.post("/get-online-features", json=body)
        assert (answer.status_code, "never_seen" in answer.json()["detail"]) == (404, True)
        late = client.post("/get-online-features", json={**body, "at": "2026-01-10T00:00:00Z"})
        assert (late.status_code, "stale" in late.json()["detail"]) == (503, True)


def test_a_policy_changes_no_hash_and_travels_with_its_service() -> None:
    plain, strict = (catalog(*policies).services[0] for policies in ((), (Policy(view="habits", stale="null"),)))
    assert hash_of(plain) == hash_of(strict)
    assert load_definition(compile_definition(strict), FeatureService).policies == strict.policies
