from datetime import UTC, datetime
from pathlib import Path

from expectations.overview import write_overview

RUN = datetime(2026, 3, 2, 6, 5, tzinfo=UTC)


def test_suites_that_failed_come_first_and_lead_to_their_pages(tmp_path: Path) -> None:
    page = tmp_path / "validations" / "a <b> 2026-03-01" / "asof" / "a <b> 2026-03-01.html"
    page.parent.mkdir(parents=True)
    page.write_text("x")
    path = write_overview(tmp_path, {"good": (5, 0, RUN), "a <b> 2026-03-01": (7, 2, RUN)})
    text = path.read_text()
    assert path.name == "overview.html"
    assert "2 suites, 1 with failures." in text
    assert text.index("a &lt;b&gt;") < text.index("good")
    assert 'href="validations/a%20%3Cb%3E%202026-03-01/asof/a%20%3Cb%3E%202026-03-01.html"' in text
    assert '<td class="number">7</td><td class="number">2</td><td>2026-03-02 06:05</td>' in text
    assert "<script" not in text, "it opens without a network"
    assert "http" not in text
