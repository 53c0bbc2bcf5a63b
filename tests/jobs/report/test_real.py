"""The numbers of payments that nobody here shaped stand in the report as their own page has them."""

from pathlib import Path

from jobs.report.real import PAGE, real_payments


def test_the_page_of_this_repository_is_read() -> None:
    lines = real_payments()
    assert lines[0] == ["model", "AUC ROC", "average precision", "card precision at 100 a day"]
    found = {line[0]: line[1] for line in lines[1:]}
    assert list(found)[:2] == ["boosted trees, the payment alone", "boosted trees, with its customer"]
    assert f"| boosted trees, with both | {found['boosted trees, with both']} |" in PAGE.read_text(encoding="utf-8")


def test_without_the_page_there_are_none(tmp_path: Path) -> None:
    assert real_payments(tmp_path / "none.md") == []
    (tmp_path / "empty.md").write_text("# Nothing\n")
    assert real_payments(tmp_path / "empty.md") == []
