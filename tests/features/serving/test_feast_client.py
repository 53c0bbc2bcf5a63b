"""Feast's own remote client works against the service unchanged."""

from pathlib import Path

import pytest
import yaml
from feast import FeatureStore, RepoConfig

from features.feast.registry import apply
from features.serving.app import create_app
from features.serving.tokens import grant
from features.settings import load
from tests.features.serving.habits import CATALOG, HABIT_ROWS, HABITS, PAIR_ROWS, PAIRS, put
from tests.features.serving.server import serving

pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")


def test_a_remote_client_gets_values_and_statuses(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T02:00:00Z")
    token = grant(settings.tokens, "model team", ["both"])
    put(settings, HABITS, HABIT_ROWS)
    put(settings, PAIRS, PAIR_ROWS)
    apply(CATALOG, settings)
    with serving(create_app(settings, CATALOG)) as client:
        config = yaml.safe_load((settings.feast / "feature_store.yaml").read_text())
        config["online_store"] = {"type": "remote", "path": str(client.base_url).rstrip("/")}
        config["auth"] = {"type": "oidc", "token": token}
        store = FeatureStore(config=RepoConfig(**config))
        service = store.get_feature_service("both")
        rows = [{"card_id": "c1", "shop": "s"}, {"card_id": "c9", "shop": "s"}]
        got = store.get_online_features(features=service, entity_rows=rows, full_feature_names=True)
        found = got.to_dict()
        single = store.get_online_features(features=["habits:sum_amount_7d"], entity_rows=[{"card_id": "c1"}]).to_dict()
    assert found["card_id"] == ["c1", "c9"]
    assert found["habits__count_7d"] == [2, 0]
    assert found["habits__mean_amount_7d"] == [350.0, None]
    assert found["pairs__count_7d"] == [1, 0]
    statuses = dict(
        zip(got.proto.metadata.feature_names.val, [list(of.statuses) for of in got.proto.results], strict=True)
    )
    present, not_found = 1, 3
    assert statuses["habits__count_7d"] == [present, not_found]
    assert single == {"card_id": ["c1"], "sum_amount_7d": [700]}
