"""The README's own blocks: the definition is valid, every command parses, every link leads somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from features.definitions.views import FeatureView
from jobs import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line.replace("…", "1") for line in lines if line.startswith("asof ")]


def test_the_definition_is_valid() -> None:
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(block, names)  # noqa: S102 - our own page
    view = names["CARD_TRIES"]
    assert isinstance(view, FeatureView)
    assert "count_declined_7d_per_count_7d" in view.types


@pytest.mark.parametrize("line", commands())
def test_every_command_parses(line: str) -> None:
    assert cli.parse(shlex.split(line)[1:]) is not None


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
