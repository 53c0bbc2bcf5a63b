"""The first page of the data docs as plain HTML: GX's own lists its pages by scripts that come from the internet."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

__all__ = ["write_overview"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Data docs</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }}
.failed {{ color: #a40000; font-weight: 600 }} .number {{ text-align: right }}
</style></head><body><h1>Data docs</h1><p>{said}</p>
<table><thead><tr><th>suite</th><th>result</th><th class="number">rules</th><th class="number">failed</th><th>run (UTC)</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def write_overview(site: Path, results: Mapping[str, tuple[int, int, datetime]]) -> Path:
    """`overview.html` beside GX's index, failed suites first; gives its path.

    Args:
        site: the folder with `validations/<suite>/…/<suite>.html`.
        results: suite to the rules run, those that failed, and when.
    """
    pages = {page.stem: page for page in sorted((site / "validations").rglob("*.html"))}
    order = sorted(results, key=lambda name: (results[name][1] == 0, name))
    failed = sum(found[1] > 0 for found in results.values())
    rows = "\n".join(_row(name, *results[name], pages.get(name), site) for name in order)
    path = site / "overview.html"
    draft = path.with_suffix(".tmp")
    draft.write_text(_PAGE.format(said=f"{len(results)} suites, {failed} with failures.", rows=rows), encoding="utf-8")
    draft.replace(path)
    return path


def _row(name: str, rules: int, failed: int, run: datetime, page: Path | None, site: Path) -> str:
    shown = escape(name)
    if page is not None:
        shown = f'<a href="{quote(page.relative_to(site).as_posix())}">{shown}</a>'
    result = '<span class="failed">failed</span>' if failed else "passed"
    return (
        f'<tr><td>{shown}</td><td>{result}</td><td class="number">{rules}</td><td class="number">{failed}</td>'
        f"<td>{run:%Y-%m-%d %H:%M}</td></tr>"
    )
