"""The files that hold the house together: Makefile, CI, the settings file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def test_make_help_shows_every_target() -> None:
    makefile = (_ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    # make looks for nothing here: help needs no environment.
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=_ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == set(phony[1].split())


def test_make_env_refuses_another_python_in_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    # The question make asks, answered as Python 3.9 would.
    old.write_text(
        f"#!/bin/sh\nshift\nexec {sys.executable} -c \"import sys; sys.version_info = (3, 9); sys.version = '3.9.1 x'\n$1\"\n"
    )
    old.chmod(0o755)
    (tmp_path / ".ci").mkdir()
    for file in ("Makefile", ".ci/bootstrap"):
        (tmp_path / file).write_text((_ROOT / file).read_text())
    done = subprocess.run(["make", "env", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Asof needs Python 3.11 or 3.12" in done.stderr
    assert not (tmp_path / ".uv").exists()


@pytest.mark.parametrize("script", ["run", "bootstrap", "services", "cluster"])
def test_each_script_is_sound_bash(script: str) -> None:
    done = subprocess.run(["bash", "-n", f".ci/{script}"], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_without_a_network_the_environment_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "bootstrap").write_text((_ROOT / ".ci" / "bootstrap").read_text())
    no_network = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | no_network
    done = subprocess.run(
        ["bash", ".ci/bootstrap", sys.executable],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "could fetch uv from PyPI" in done.stderr
    assert "check the network, and run `make env` again" in done.stderr
    assert not (tmp_path / ".uv" / "run").exists()


def test_no_secret_or_local_path_is_in_the_settings_file() -> None:
    assert all(line.startswith("#") or not line for line in (_ROOT / "asof.toml").read_text().splitlines())
