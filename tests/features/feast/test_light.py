"""Feast imported without its checks of argument types: by the process that asked for it, and nothing else of that process changes."""

import subprocess
import sys

_ASKED = """
import typeguard
before = typeguard.typechecked
from features.feast.light import import_feast
import_feast()
assert typeguard.typechecked is before
import feast
assert feast.Entity(name="card", join_keys=["card"]).join_key == "card"
assert "typeguard" not in "".join(feast.Entity.__init__.__code__.co_names), feast.Entity.__init__.__code__.co_names
once = feast
import_feast()
import feast
assert feast is once
"""


def test_feast_is_imported_without_its_checks_and_typeguard_is_left_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _ASKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
