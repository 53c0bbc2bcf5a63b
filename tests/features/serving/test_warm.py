"""A service that says it is ready compiles nothing any more: the first lookup and the first push take no longer than the next."""

import os
import subprocess
import sys
from pathlib import Path

from features.settings import load
from tests.features.serving.habits import CUT, HOUR
from tests.features.serving.test_states import BEFORE, LIVE, SLIDING, put

ROOT = Path(__file__).resolve().parents[3]
# In a process of its own: in this one other tests have compiled everything long ago.
ASKING = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from numba.core.dispatcher import Dispatcher
from features.serving.push import push
from features.serving.reader import Reader
from features.serving.warm import warm
from features.settings import load
from tests.features.serving.test_push_http import CATALOG, ROW

def compiled():
    return {{
        (name, key): len(found.signatures) for name, module in sys.modules.items() if name.startswith("features.")
        for key, found in vars(module).items() if isinstance(found, Dispatcher) and found.__module__ == name
    }}

before = [key for key, count in compiled().items() if count]
assert not before, before
warm(CATALOG.views)
after = compiled()
settings = load(home=Path(sys.argv[1]), clock="2026-01-01T12:00:00Z")
assert push(settings, CATALOG, "payments", [ROW]).new == 1
with Reader(settings, CATALOG) as reader:
    print(reader.lookup("now", [{{"card_id": "c1"}}]).rows[0].values["live__count_24h"])
print([key for key, count in compiled().items() if count != after[key]])
"""


def test_once_warm_nothing_is_compiled_by_a_push_or_a_lookup(tmp_path: Path) -> None:
    settings = load(home=tmp_path, clock="2026-01-01T01:00:00Z")
    for view in (LIVE, SLIDING):
        put(settings, view, BEFORE, now=CUT + HOUR)
    done = subprocess.run([sys.executable, "-c", ASKING, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counted, compiled = done.stdout.splitlines()
    assert int(counted) > 1
    assert compiled == "[]"


def test_nothing_is_imported_after_it_even_where_no_view_has_states() -> None:
    """The first Arrow answer of a service of plain values took a quarter of a second."""
    asking = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import pyarrow as pa
from features.serving.warm import warm
warm(())
before = set(sys.modules)
pa.RecordBatch.from_pydict({{"a": pa.array(["some"], pa.string())}}).serialize()
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def compiled(catalog: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"ASOF_CATALOG": catalog, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "features.serving.warm"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_make_env_compiles_the_lookups_of_the_catalogue() -> None:
    done = compiled("tests.features.serving.test_push_http")
    assert (done.returncode, done.stdout) == (0, "The catalogue's lookups are compiled.\n"), done.stderr


def test_a_catalogue_that_does_not_load_is_said_without_a_stack_trace() -> None:
    done = compiled("nowhere.at_all")
    assert done.returncode == 1
    assert done.stderr.startswith("The catalogue's lookups are not compiled, and will be when they are first used: ")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
