"""Airflow reads its home when it is first imported, so every test here has one of its own before that."""

import os
import tempfile
from pathlib import Path

import pytest

collect_ignore = ["toy"]  # DAG files and what they start

_HOME = tempfile.TemporaryDirectory(prefix="asof-airflow-")
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME.name,
        # `dag.test()` finds a DAG there and nowhere else.
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "toy"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
    }
)


@pytest.fixture(scope="session")
def toy() -> Path:
    """A DAG folder with one real pipeline, whose command is tests/dags/toy/command.py instead of `asof`."""
    return Path(__file__).parent / "toy"


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's tables, in the home of this session."""
    from airflow.utils.db import initdb

    initdb()
