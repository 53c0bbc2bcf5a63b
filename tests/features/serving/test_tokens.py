"""Tokens of the HTTP service: shown once, kept as digests, good until they are taken back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import MissingError, SettingsError
from features.serving.tokens import Tokens, Who, grant, revoke


def test_a_token_is_its_holders_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tokens.json"
    tokens = Tokens(path)
    assert tokens.who("anything") is None
    one, two = grant(path, "checkout", ["b", "a", "a"]), grant(path, "review", ["a"])
    assert tokens.who(one) == Who(name="checkout", services=frozenset({"a", "b"}))
    assert tokens.who(two) == Who(name="review", services=frozenset({"a"}))
    assert tokens.who(one[:-1]) is None
    assert tokens.who("") is None


def test_granting_again_replaces_and_revoking_ends(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens, old = Tokens(path), grant(path, "checkout", ["a"])
    new = grant(path, "checkout", ["b"])
    assert tokens.who(old) is None
    assert tokens.who(new) == Who(name="checkout", services=frozenset({"b"}))
    revoke(path, "checkout")
    assert tokens.who(new) is None
    with pytest.raises(
        MissingError, match=r"There is no token 'checkout'. Known: none. `asof grant NAME --service SERVICE` makes one."
    ):
        revoke(path, "checkout")


def test_tokens_granted_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: grant(path, f"holder{n}", ["a"]), range(24)))
    found = [Tokens(path).who(token) for token in made]
    assert [who.name if who else None for who in found] == [f"holder{n}" for n in range(24)]


def test_the_file_holds_no_token_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = grant(path, "checkout", ["a"])
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["tokens.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}', '{"a": 1}', '{"a": {"sha256": "x"}}'])
def test_a_broken_file_is_named_and_not_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    if text == "[]":
        with pytest.raises(SettingsError, match="cannot be read: AttributeError"):
            grant(path, "a", ["b"])
        return
    for work in (lambda: Tokens(path).who("x"), lambda: grant(path, "a", ["b"]), lambda: revoke(path, "a")):
        with pytest.raises(
            SettingsError, match=r"The tokens in .*tokens.json cannot be read: \w+Error. Restore the file"
        ):
            work()
    assert path.read_text() == text
