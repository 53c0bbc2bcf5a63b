"""Every kind of view, loaded and registered."""

import shutil
from pathlib import Path

import pytest

from features.feast.registry import apply
from features.feast.repository import write_repository
from features.settings import Settings, load
from tests.features.feast.shop import CATALOG, filled


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of the catalogue, made once; tests work on copies."""
    settings = load(home=tmp_path_factory.mktemp("registered"))
    apply(CATALOG, settings)
    return settings.feast / "registry.db"


@pytest.fixture
def shop(either_store: Settings, registered: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Each online store in turn, with all views loaded; Feast's plugin has the clock of these settings."""
    monkeypatch.setenv("ASOF_CLOCK", "2026-01-01T02:00:00Z")
    filled(either_store)
    write_repository(either_store)
    shutil.copy(registered, either_store.feast / "registry.db")
    return either_store
