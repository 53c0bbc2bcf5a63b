"""The registry says what the catalogue says, without our code, without Spark; Feast's own commands work on the folder."""

import json
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from feast import FeatureStore, ValueType
from feast.feature_view import FeatureViewState
from feast.types import Bool, Float64, Int64, String

from features import Catalog, Entity, FeatureView
from features.definitions.compiled import hash_of, load_definition
from features.definitions.names import utc
from features.errors import InvalidCatalogError, MissingError
from features.feast.objects import compile_catalog
from features.feast.registry import Watermarks, apply
from features.feast.repository import write_repository
from features.feast.tags import DEFINITION_TAG, HASH_TAG
from features.settings import Settings, load
from features.store.heads import Layout
from features.store.sqlite_store import SqliteStore
from tests.some_catalogue import CATALOG

pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")
HOUR = 3_600_000_000
EVENTS = ("payments__events",)
"""Of the one source that event views follow."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(home=tmp_path)


def stock(settings: Settings) -> FeatureStore:
    return FeatureStore(repo_path=str(settings.feast))


def registry_rows(settings: Settings) -> str:
    with sqlite3.connect(settings.feast / "registry.db") as db:
        return "\n".join(
            line
            for line in db.iterdump()
            if not line.startswith(('INSERT INTO "feast_metadata"', 'INSERT INTO "projects"'))
        )


def test_entities_have_one_join_key_and_composite_ones_become_several(settings: Settings) -> None:
    apply(CATALOG, settings)
    store = stock(settings)
    entities = {entity.name: entity for entity in store.list_entities()}
    assert set(entities) - {"__dummy"} == {*(key for view in CATALOG.views for key in view.keys), *EVENTS}
    assert {"billing_country", "card_id", "ip_country"} <= set(entities)
    assert entities["card_id"].value_type == ValueType.STRING
    assert entities["card_id"].description == "A payment card, tokenised."
    assert sorted(store.get_feature_view("card_at_merchant").entities) == ["card_id", "merchant_id"]


def test_views_are_typed_owned_and_read_the_published_tables(settings: Settings) -> None:
    apply(CATALOG, settings)
    store = stock(settings)
    types = {"string": String, "int64": Int64, "float64": Float64, "bool": Bool, "timestamp": Int64}
    for view in CATALOG.views:
        made: Any = store.get_feature_view(view.name)
        assert {field.name: field.dtype for field in made.features} == {
            **{name: types[kind] for name, kind in view.types.items()}, "asof_status": String,
        }  # fmt: skip
        assert {field.name for field in made.entity_columns} == set(view.keys)
        assert (made.owner, made.description, made.online) == (view.owner, view.description, view.tabled)
        assert made.ttl == timedelta(microseconds=view.horizon_us - view.schedule.lag_us)
        assert made.batch_source.timestamp_field == "event_timestamp"
        assert made.batch_source.name == f"features.{view.name}"
    velocity: Any = store.get_feature_view("card_velocity").batch_source
    profile: Any = store.get_feature_view("account_profile").batch_source
    assert velocity.table == "features.card_velocity"
    assert "unix_micros(`created_at`) AS `created_at`" in profile.query


def test_the_definition_travels_in_the_tags(settings: Settings) -> None:
    apply(CATALOG, settings)
    store = stock(settings)
    for view in CATALOG.views:
        tags = store.get_feature_view(view.name).tags
        back = load_definition(json.loads(tags[DEFINITION_TAG]), FeatureView)
        assert tags[HASH_TAG] == hash_of(view) == hash_of(back)
        assert (back.types, back.owner) == (view.types, view.owner)
        assert len(tags[DEFINITION_TAG]) < 64_000  # the smallest blob that a registry's database is known to cut


def test_services_take_their_features_and_not_the_status(settings: Settings) -> None:
    apply(CATALOG, settings)
    store = stock(settings)
    for service in CATALOG.services:
        made = store.get_feature_service(service.name)
        assert {
            projection.name: {field.name for field in projection.features}
            for projection in made.feature_view_projections
        } == {view.name: set(names) for view, names in CATALOG.views_of(service)}
        assert (made.owner, made.description, made.tags[HASH_TAG]) == (
            service.owner,
            service.description,
            hash_of(service),
        )


@pytest.mark.slow
def test_applying_twice_changes_nothing_and_watermarks_stay(settings: Settings) -> None:
    apply(CATALOG, settings)
    marks = Watermarks(settings)
    marks.record("card_velocity", cut=0, valid_from=HOUR)
    marks.record("card_velocity", cut=0, valid_from=HOUR)
    before = registry_rows(settings)
    assert apply(CATALOG, settings).deleted == ()
    assert registry_rows(settings) == before
    view = stock(settings).get_feature_view("card_velocity")
    assert view.materialization_intervals == [(utc(0), utc(HOUR))]
    assert view.state == FeatureViewState.AVAILABLE_ONLINE


@pytest.mark.slow
def test_a_changed_view_keeps_its_watermark(settings: Settings) -> None:
    apply(CATALOG, settings)
    Watermarks(settings).record("card_velocity", cut=0, valid_from=HOUR)
    views = tuple(
        replace(view, description="changed") if view.name == "card_velocity" else view for view in CATALOG.views
    )
    apply(replace(CATALOG, views=views), settings)
    view = stock(settings).get_feature_view("card_velocity")
    assert (view.description, view.materialization_intervals) == ("changed", [(utc(0), utc(HOUR))])


@pytest.mark.slow
def test_what_is_no_longer_defined_is_deleted_with_its_online_values(settings: Settings) -> None:
    apply(CATALOG, settings)
    store = SqliteStore(settings.online_db)
    for name in ("device_sharing", "card_velocity"):
        store.load(Layout.of(CATALOG.view(name), 0), [], HOUR)
    views = tuple(view for view in CATALOG.views if view.entity.name != "device")
    applied = apply(replace(CATALOG, views=views, services=()), settings)
    gone = {view.name for view in CATALOG.views} - {view.name for view in views}
    assert gone == {"device_sharing", "device_profile"}
    deleted = {f"{part}{name}" for name in gone for part in ("view ", "source features.")}
    assert set(applied.deleted) == deleted | {"entity device_id"} | {
        f"service {service.name}" for service in CATALOG.services
    }
    assert {view.name for view in stock(settings).list_feature_views()} == {*(view.name for view in views), *EVENTS}
    assert store.head("device_sharing") is None
    assert store.head("card_velocity") is not None
    store.close()


@pytest.mark.slow
def test_apply_passes_feasts_own_checks_and_starts_no_jvm_and_no_session(tmp_path: Path) -> None:
    script = (
        "import feast, os, psutil, sys\n"
        "assert 'check_argument_types_internal' in feast.FeatureView.__init__.__code__.co_names\n"
        "from features import load_catalog\n"
        "from features.feast.registry import apply\n"
        "from features.settings import load\n"
        f"apply(load_catalog(), load(home={str(tmp_path)!r}))\n"
        "from pyspark import SparkContext\n"
        "from pyspark.sql import SparkSession\n"
        "assert SparkSession.getActiveSession() is None and SparkSession._instantiatedSession is None\n"
        "assert SparkContext._gateway is None and SparkContext._active_spark_context is None\n"
        "assert not psutil.Process().children(recursive=True)\n"
    )
    # Without Java on the path a session could not even begin.
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("online", "imported"), [("config['online_store']", "('features.views', 'features.catalogue', 'jobs', 'dags')"),
                             ("{'type': 'sqlite', 'path': config['online_store']['path']}", "('features', 'jobs', 'dags')")],
    ids=["through Asof's online store no catalogue is imported", "with Feast's own stores none of our code"],
)  # fmt: skip
def test_the_registry_is_read_without_the_catalogue(
    settings: Settings, tmp_path: Path, online: str, imported: str
) -> None:
    apply(CATALOG, settings)
    config = yaml.safe_load((settings.feast / "feature_store.yaml").read_text())
    assert config["offline_store"]["type"] == "jobs.feast_offline.AsofOfflineStore"
    assert config["offline_store"]["settings"]["home"] == str(settings.home)
    script = (
        "import sys, warnings, yaml; warnings.simplefilter('ignore')\n"
        "from feast import FeatureStore, RepoConfig\n"
        f"config = yaml.safe_load(open({str(settings.feast / 'feature_store.yaml')!r}))\n"
        f"config |= {{'online_store': {online}, 'batch_engine': 'local', 'offline_store': {{'type': 'spark'}}}}\n"
        "store = FeatureStore(config=RepoConfig(**config))\n"
        f"print(len(store.list_feature_views()), [name for name in sys.modules if name.startswith({imported})])\n"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert found.stdout == f"{len(CATALOG.views) + len(EVENTS)} []\n"


@pytest.mark.slow
def test_the_feast_command_lists_and_its_apply_is_guarded(settings: Settings, tmp_path: Path) -> None:
    apply(CATALOG, settings)
    feast = [str(Path(sys.executable).with_name("feast")), "-c", str(settings.feast)]
    # Elsewhere, so that our packages are not importable from the working directory.
    listed = subprocess.run([*feast, "feature-views", "list"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "card_at_merchant" in listed.stdout
    refused = subprocess.run([*feast, "apply"], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode != 0
    assert (
        "The definitions are in Asof's catalogue, not in this folder. Run `asof apply`; nothing was changed."
        in refused.stdout + refused.stderr
    )
    assert len(stock(settings).list_feature_views()) == len(CATALOG.views) + len(EVENTS)


def test_a_view_that_was_never_applied_is_told(settings: Settings) -> None:
    with pytest.raises(MissingError, match=r"Feast's registry has no view 'card_velocity'\. Run `asof apply` first"):
        Watermarks(settings).require("card_velocity")


def test_the_settings_file_names_redis_and_postgres_and_is_private(tmp_path: Path) -> None:
    settings = load(
        home=tmp_path,
        online={"kind": "redis", "url": "redis://:p%40ss@cache.example:6380/2"},
        registry={"kind": "postgres", "url": "postgresql+psycopg://asof:secret@db/feast"},
    )
    path = write_repository(settings) / "feature_store.yaml"
    written = yaml.safe_load(path.read_text())
    assert written["online_store"] == {
        "type": "features.feast.online.AsofOnlineStore", "connection_string": "cache.example:6380,db=2,password=p@ss",
    }  # fmt: skip
    assert written["registry"]["path"] == "postgresql+psycopg://asof:secret@db/feast"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {found.name for found in path.parent.iterdir()} == {"feature_store.yaml", "definitions_are_elsewhere.py"}


def test_a_key_column_of_two_types_is_refused() -> None:
    source = next(view for view in CATALOG.views if view.name == "card_at_merchant").source
    columns = tuple(replace(column, type="int64") if column.name == "card_id" else column for column in source.columns)
    numbered = Entity(name="numbered", keys=("card_id",), type="int64")
    view = replace(
        CATALOG.view("card_velocity"),
        name="numbers",
        entity=numbered,
        source=replace(source, columns=columns),
        features=CATALOG.view("card_at_merchant").features,
    )
    with pytest.raises(
        InvalidCatalogError, match=r"key column 'card_id' is int64 in entity 'numbered', but string in entity 'card'"
    ):
        compile_catalog(Catalog(views=(CATALOG.view("card_velocity"), view)))
