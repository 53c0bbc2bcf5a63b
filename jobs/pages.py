"""What reports as one HTML file have in common: their head, tables and pictures (SVG, drawn by matplotlib). They need neither a server nor a network."""

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["page", "picture", "table"]

T = TypeVar("T")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }} svg {{ width: 100%; height: auto }}{style}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""


def page(title: str, body: str, style: str = "") -> str:
    """A whole page; `title` is text, `body` HTML."""
    return _PAGE.format(title=escape(title), body=body, style=style)


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def picture(data: T, draw: "Callable[[Axes, T], Any]", height: float = 3.2) -> str:
    """An SVG element, `height` in inches of nine wide; equal data gives equal text."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, for pages alone
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "asof", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, height), layout="constrained")
        draw(figure.subplots(), data)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
