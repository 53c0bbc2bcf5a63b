"""Which room imports which, what is public, and what is shipped."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_ROOMS = ("features", "expectations", "jobs", "dags")
_BIN = Path(sys.executable).parent
# What a room may import beside the standard library and itself, where the room is narrower than import-linter's contracts say.
_NARROW = {
    "features/definitions": {"features.definitions", "features.errors"},
    "features/values": {
        "features.values",
        "features.definitions",
        "features.errors",
        "numpy",
        "numba",
        "pyarrow",
        "rapidfuzz",
    },
    "dags": {
        "dags",
        "jobs",
        "jobs.commands",
        "features.definitions",
        "features.errors",
        "features.settings",
        "airflow",
        "psutil",
    },
}


def _files(folder: str) -> list[Path]:
    return sorted((_ROOT / folder).rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def test_imports_point_one_way() -> None:
    done = subprocess.run([_BIN / "lint-imports"], capture_output=True, text=True, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", _NARROW)
def test_a_narrow_room_imports_only_its_own(room: str) -> None:
    allowed = _NARROW[room]
    for file in _files(room):
        for name in _imports(ast.parse(file.read_text(encoding="utf-8"))):
            parents = {name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)}
            known = parents & allowed or name.partition(".")[0] in sys.stdlib_module_names
            assert known, f"{file.relative_to(_ROOT)} imports {name}; {room} may import only {sorted(allowed)}"


@pytest.mark.parametrize("planted", ["import jobs.session", "from features.store import keys", "import numpy as np"])
def test_the_narrow_check_sees_a_planted_import(planted: str) -> None:
    names = list(_imports(ast.parse(planted)))
    assert not set(names) & _NARROW["features/definitions"]
    assert names[0].partition(".")[0] not in sys.stdlib_module_names


def test_every_module_names_what_is_public() -> None:
    silent = []
    for file in (path for room in _ROOMS for path in _files(room)):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)
        names = any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body)
        if defines and not names:
            silent.append(str(file.relative_to(_ROOT)))
    assert not silent, f"without __all__: {silent}"


def test_the_authoring_api_is_what_it_says_and_nothing_leaks() -> None:
    features = import_module("features")
    rooms = {path.stem if path.is_file() else path.name for path in (_ROOT / "features").iterdir()}
    public = {name for name in vars(features) if not name.startswith("_")} - rooms
    assert public == set(features.__all__)


def test_no_other_distribution_claims_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in _ROOMS:
        assert set(owners.get(name, [])) <= {"asof"}, f"{name} is also installed by {owners[name]}"


def test_no_file_or_function_is_past_its_limit() -> None:
    for file in (path for room in _ROOMS for path in _files(room)):
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, f"{file.relative_to(_ROOT)} has more than 400 lines: split it by subject"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{file.relative_to(_ROOT)}: {node.name} has {length} lines, more than 60"


@pytest.mark.slow
def test_the_wheel_holds_our_four_packages_and_imports_from_anywhere(tmp_path: Path) -> None:
    own = _ROOT / ".uv" / "run"
    uv = str(own) if own.exists() else shutil.which("uv")
    assert uv is not None, "uv is not here: `make env` puts it into .uv"
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", tmp_path, _ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("asof-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    version = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {name.partition("/")[0] for name in names} == {*_ROOMS, f"asof-{version}.dist-info"}
    shipped = {name for name in names if name.endswith(".py")}
    assert shipped == {str(path.relative_to(_ROOT)) for room in _ROOMS for path in _files(room)}
    code = "import features, expectations, jobs.cli, dags; print(*{m.__file__ for m in (features, expectations, jobs, dags)}, sep='\\n')"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(tmp_path)) for line in done.stdout.split())
