"""Small pictures as SVG elements, without a library: lines over cuts and histograms. Their colours are the page's, so that they follow its dark mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from jobs.page.values import Bar

__all__ = ["Point", "Share", "histogram", "shares", "sparkline"]

_SPARK = (96, 24)
_WIDE = (260, 84)
_EDGE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What is drawn at one cut."""

    cut: str
    low: float
    mid: float
    high: float
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What share of the keys is null, and has the default, at one cut."""

    cut: str
    null: float
    default: float | None


def sparkline(points: Sequence[Point], told: Callable[[float], str], *, wide: bool = False) -> Markup:
    """The median as a line, p10 to p90 as a band, held cuts in another colour; nothing without points. `told` writes a value."""
    if not points:
        return Markup()
    width, height = _WIDE if wide else _SPARK
    up = _scale(min(point.low for point in points), max(point.high for point in points), height - _EDGE, _EDGE)
    placed = list(zip(_along(len(points), width), points, strict=True))
    over = [f"{x:.1f},{up(point.high):.1f}" for x, point in placed]
    under = [f"{x:.1f},{up(point.low):.1f}" for x, point in reversed(placed)]
    line = [f"{x:.1f},{up(point.mid):.1f}" for x, point in placed]
    dots = [
        _dot(x, up(point.mid), "held" if point.held else "mid", _title(point, told))
        for x, point in placed if wide or point.held or len(points) == 1
    ]  # fmt: skip
    body = f'<polygon class="band" points="{" ".join((*over, *under))}"/><polyline class="line" points="{" ".join(line)}"/>{"".join(dots)}'
    said = f"Median over {len(points)} cuts, {told(points[0].mid)} to {told(points[-1].mid)}"
    return _svg(width, height, said, body)


def shares(points: Sequence[Share]) -> Markup:
    """Of each cut the share that is null and the share that is the default, on a scale from 0 to 1."""
    if not points:
        return Markup()
    width, height = _WIDE
    up = _scale(0.0, 1.0, height - _EDGE, _EDGE)
    placed = list(zip(_along(len(points), width), points, strict=True))
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{y}" y2="{y}"/>' for y in (up(0), up(1))]
    for name in ("default", "null"):
        drawn = [
            (x, value, point.cut) for x, point in placed if (value := point.default if name == "default" else point.null) is not None
        ]  # fmt: skip
        line = " ".join(f"{x:.1f},{up(value):.1f}" for x, value, _ in drawn)
        parts.append(f'<polyline class="{name}" points="{line}"/>')
        parts += [_dot(x, up(value), name, f"{cut}: {value:.1%} {name}") for x, value, cut in drawn]
    return _svg(width, height, f"Share null {points[-1].null:.1%} at the last cut", "".join(parts))


def histogram(bars: Sequence[Bar], told: Callable[[float], str]) -> Markup:
    """Bars of the last cut, the share of each in its title."""
    if not bars:
        return Markup()
    width, height = _WIDE
    first = max(bars, key=lambda bar: bar.share)
    each = width / len(bars)
    parts = []
    for n, bar in enumerate(bars):
        tall = bar.share / (first.share or 1.0) * (height - 2)
        place = f'x="{n * each + 0.5:.1f}" y="{height - tall:.1f}" width="{max(1.0, min(each - 1, 40)):.1f}" height="{tall:.1f}"'
        parts.append(
            f'<rect class="bar" {place}><title>{escape(f"{_range(bar, told)}: {bar.share:.1%}")}</title></rect>'
        )
    said = f"Histogram of {len(bars)} bars; most, {first.share:.0%}, at {_range(first, told)}"
    return _svg(width, height, said, "".join(parts))


def _along(count: int, width: int) -> list[float]:
    """Where each of so many cuts stands; one alone in the middle."""
    place = _scale(0, count - 1, _EDGE, width - _EDGE)
    return [place(n) for n in range(count)]


def _range(bar: Bar, told: Callable[[float], str]) -> str:
    if bar.label:
        return bar.label
    return told(bar.low) if bar.low == bar.high else f"{told(bar.low)} to {told(bar.high)}"


def _title(point: Point, told: Callable[[float], str]) -> str:
    held = ", held" if point.held else ""
    return f"{point.cut}{held}: median {told(point.mid)}, p10 {told(point.low)}, p90 {told(point.high)}"


def _dot(x: float, y: float, name: str, title: str) -> str:
    """A line of no length with round ends: it stays round however the picture is stretched."""
    return f'<path class="dot {name}" d="M{x:.1f} {y:.1f}h0"><title>{escape(title)}</title></path>'


def _svg(width: int, height: int, said: str, body: str) -> Markup:
    """`said` is text, `body` SVG whose texts are escaped already."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}" preserveAspectRatio="none">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704 - made here, of numbers and escaped texts


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Along a line; all of one value lie in its middle."""
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)
