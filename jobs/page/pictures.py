"""Small pictures as SVG elements, without a library: lines over cuts and histograms. Their colours are the page's, so that they follow its dark mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.page.values import Bar

__all__ = ["Point", "histogram", "shares", "sparkline"]

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


def sparkline(points: Sequence[Point], told: Callable[[float], str], *, wide: bool = False) -> Markup:
    """The median as a line, p10 to p90 as a band, held cuts as rings; nothing without points. `told` writes a value."""
    if not points:
        return Markup()
    width, height = _WIDE if wide else _SPARK
    least, most = min(point.low for point in points), max(point.high for point in points)
    along = _scale(0, max(1, len(points) - 1), _EDGE, width - _EDGE)
    up = _scale(least, most, height - _EDGE, _EDGE)
    xs = [along(n) if len(points) > 1 else width / 2 for n in range(len(points))]
    over = " ".join(f"{x:.1f},{up(point.high):.1f}" for x, point in zip(xs, points, strict=True))
    under = " ".join(f"{x:.1f},{up(point.low):.1f}" for x, point in reversed(list(zip(xs, points, strict=True))))
    line = " ".join(f"{x:.1f},{up(point.mid):.1f}" for x, point in zip(xs, points, strict=True))
    dots = Markup().join(
        _dot(x, up(point.mid), "held" if point.held else "mid", _title(point, told)) for x, point in zip(xs, points, strict=True) if wide or point.held or len(points) == 1
    )  # fmt: skip
    body = Markup('<polygon class="band" points="{} {}"/><polyline class="line" points="{}"/>{}').format(over, under, line, dots)  # fmt: skip
    said = f"Median over {len(points)} cuts, {told(points[0].mid)} to {told(points[-1].mid)}"
    return _svg(width, height, said, body)


def shares(points: Sequence[tuple[str, float, float | None]]) -> Markup:
    """Of each cut the share that is null and the share that is the default, on a scale from 0 to 1."""
    if not points:
        return Markup()
    width, height = _WIDE
    along = _scale(0, max(1, len(points) - 1), _EDGE, width - _EDGE)
    up = _scale(0.0, 1.0, height - _EDGE, _EDGE)
    parts = [Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>').format(width, y, y) for y in (up(0), up(1))]
    for name, column in (("default", 2), ("null", 1)):
        drawn = [
            (along(n) if len(points) > 1 else width / 2, value, point[0]) for n, point in enumerate(points) if (value := point[column]) is not None and not isinstance(value, str)
        ]  # fmt: skip
        line = " ".join(f"{x:.1f},{up(value):.1f}" for x, value, _ in drawn)
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(name, line))
        parts += [_dot(x, up(value), name, f"{cut}: {value:.1%} {name}") for x, value, cut in drawn]
    return _svg(width, height, f"Share null {points[-1][1]:.1%} at the last cut", Markup().join(parts))


def histogram(bars: Sequence[Bar], told: Callable[[float], str]) -> Markup:
    """Bars of the last cut, the share of each in its title."""
    if not bars:
        return Markup()
    width, height = _WIDE
    most = max(bar.share for bar in bars) or 1.0
    each = width / len(bars)
    parts = []
    for n, bar in enumerate(bars):
        tall = bar.share / most * (height - 2)
        title = f"{_range(bar, told)}: {bar.share:.1%}"
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
                n * each + 0.5, height - tall, max(1.0, min(each - 1, 40)), tall, title
            )
        )  # fmt: skip
    first = max(bars, key=lambda bar: bar.share)
    return _svg(width, height, f"Histogram of {len(bars)} bars; most, {first.share:.0%}, at {_range(first, told)}", Markup().join(parts))  # fmt: skip


def _range(bar: Bar, told: Callable[[float], str]) -> str:
    if bar.label:
        return bar.label
    return told(bar.low) if bar.low == bar.high else f"{told(bar.low)} to {told(bar.high)}"


def _title(point: Point, told: Callable[[float], str]) -> str:
    held = ", held" if point.held else ""
    return f"{point.cut}{held}: median {told(point.mid)}, p10 {told(point.low)}, p90 {told(point.high)}"


def _dot(x: float, y: float, name: str, title: str) -> Markup:
    """A line of no length with round ends: it stays round however the picture is stretched."""
    return Markup('<path class="dot {}" d="M{:.1f} {:.1f}h0"><title>{}</title></path>').format(name, x, y, title)


def _svg(width: int, height: int, said: str, body: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>').format(
        width, height, said, body
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Along a line; all of one value lie in its middle."""
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)
