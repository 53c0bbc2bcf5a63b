"""Fixtures of every room: settings in a temporary home, and one Spark session for a whole run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as cases

# What lands must not depend on luck: the same cases in every run, and no word on how fast this machine draws them. `make test-long` draws others each time.
cases.register_profile("repeatable", cases.get_profile("ci"))
cases.register_profile(
    "fresh", cases.get_profile("ci"), derandomize=False, database=cases.get_profile("default").database
)
cases.load_profile("repeatable")

# Before anything reads them: a developer's own settings must not reach a test.
for _name in [name for name in os.environ if name.startswith("ASOF_") and not name.startswith("ASOF_TEST_")]:
    del os.environ[_name]
os.environ["ASOF_CONFIG"] = os.devnull
# Tests of DAGs must never touch a person's own Airflow; it is read when airflow is first imported.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

from features.feast.light import unchecked  # noqa: E402 - the environment comes first
from features.settings import Settings, load  # noqa: E402

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.redis_cluster import Nodes

# For the whole run: Feast's own checks of argument types take each worker seconds. Tests that start Feast in a process
# of its own have them (tests/features/feast/test_registry.py: all that the catalogue compiles to).
_LIGHT = ExitStack()
_LIGHT.enter_context(unchecked())


def pytest_unconfigure() -> None:
    """Before the interpreter takes its modules apart."""
    _LIGHT.close()


# Of a few rows each, a query takes longer to compile than to interpret. The demo, the DAG tests and `submit` run compiled.
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false"}
# Its heap is small, and its catalogue is gone after the run: no threads that collect beside it, no waiting for a disk.
_SHORT_LIVED = {"spark.driver.extraJavaOptions": "-XX:+UseSerialGC -Dderby.system.durability=test"}
# Run within Feast's own repository (docs/offline.md), whose tests are not published.
collect_ignore = ["feast_suite"]
_SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of one's own; Derby embedded, so no service is left behind."""
    return load(
        home=tmp_path / "asof", metastore={"kind": "embedded"}, spark={"master": "local[2]", "driver_memory": "1g"}
    )


@pytest.fixture(scope="session")
def spark_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What `spark` was started with: its home, warehouse and embedded Derby, shared by the whole run."""
    return load(
        home=tmp_path_factory.mktemp("spark") / "asof",
        metastore={"kind": "embedded"},
        spark={
            "master": "local[2]",
            "driver_memory": "1g",
            "shuffle_partitions": 2,
            "compiler": "quick",
            "conf": _INTERPRETED | _SHORT_LIVED,
        },
    )


@pytest.fixture(scope="session")
def spark(spark_settings: Settings) -> Iterator["SparkSession"]:
    """The run's one session. A test that uses it is slow; it names its own database."""
    from jobs.session import spark as start

    session = start(spark_settings, "tests")
    yield session
    session.stop()


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A real Redis with nothing in it, for tests marked `services`; what a test leaves there is no other test's."""
    from redis import Redis

    url = _service("ASOF_TEST_REDIS_URL")
    with Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture(scope="session")
def redis_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Nodes"]:
    """A real Redis Cluster, started for the first test that uses it: three servers with slots and one without."""
    from tests.redis_cluster import started

    with started(tmp_path_factory.mktemp("cluster"), nodes=4, owners=3) as made:
        yield made


@pytest.fixture
def redis_cluster(redis_servers: "Nodes") -> Iterator["Nodes"]:
    """The same, empty, for tests marked `services`."""
    redis_servers.flush()
    yield redis_servers
    redis_servers.flush()


@pytest.fixture
def postgres_url() -> str:
    """A real PostgreSQL as SQLAlchemy writes it, for tests marked `services`."""
    return _service("ASOF_TEST_POSTGRES_URL")


@pytest.fixture
def spark_master() -> str:
    """A real standalone cluster, for tests marked `cluster`."""
    return _service("ASOF_TEST_SPARK_MASTER")


def _service(variable: str) -> str:
    if variable not in os.environ:
        pytest.fail(
            f"{variable} is not set: run `make test-services` or `make test-cluster`, which start what it names."
        )
    return os.environ[variable]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real input that lies beside the repository, for tests marked `shared`."""
    return _SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that starts Spark is slow, whether or not it says so; one that needs what is absent says why it is left out."""
    for item in items:
        if {"spark", "spark_settings"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("shared") and not _SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"{_SHARED} is not there; it is no part of the repository"))
