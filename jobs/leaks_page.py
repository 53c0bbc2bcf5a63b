"""The leak audit as one HTML file: the verdict, what was found, and a picture of each check."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from jobs.findings import CHECKS
from jobs.pages import page, picture, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["leaks_page"]

_DRAWN = 25
"""Features in a picture."""
_RED, _BLUE, _GREY = "#c0392b", "#7f9cb5", "#c9c9c9"
_STYLE = """
.verdict { padding: .6rem 1rem; border-left: .4rem solid #4a8f5c; background: #eef6f0 } .leaks { border-color: #c0392b; background: #fbeeec }
td { vertical-align: top } .findings td, .findings th { text-align: left }"""
_BODY = """<p>{rows} rows for service {service}{label}; {sample} of them computed again, seed {seed}.</p>
<p class="verdict {verdict}"><b>{says}</b></p>
{findings}
<h2>Computed again without what came later</h2>
<p>Of {sample} rows, every value is computed once more from sources out of which everything known after the row's instant was taken. No value may change. Beside it: the
share of rows whose value would be another one if all that is known today had been known at once, which is what a join without arrival sees.</p>
{shift_picture}
<h2>Had it arrived</h2>
<p>What the sources' own clocks say, and how long outcomes take to be known after their events.</p>
{sources}
{outcomes}
<h2>Shuffled labels</h2>
<p>{shuffled_words}</p>
{shuffled_picture}
<h2>Features alone</h2>
<p>The area under the ROC curve of each feature alone against mature labels, with a 95% interval (DeLong), and of whether it is null. 0.5 tells nothing;
surely beyond {threshold:g}, in either direction, is a leak.</p>
{separation_picture}
{separation}"""


def leaks_page(found: Mapping[str, Any]) -> str:
    """The page of what `jobs.audit.audit` found."""
    checks = found["checks"]
    shift = sorted(checks["future shift"]["features"], key=lambda each: (-each["changed"], -each["later"]))[:_DRAWN]
    alone = _strongest(checks["separation"].get("features", []))
    shuffled = checks["shuffled labels"]
    leaks = sum(each["severity"] == "leak" for each in found["findings"])
    body = _BODY.format(
        rows=found["rows"], service=escape(found["service"]), label=f", label {escape(found['label'])}" if found["label"] else "",
        sample=found["sample"], seed=found["seed"], threshold=found["threshold"], verdict=found["verdict"],
        says=f"The frame leaks: {leaks} finding(s)." if leaks else "No leak was found.",
        findings=_findings(found["findings"]), shift_picture=_drawn(shift, _draw_shift(found["sample"])),
        sources=table(("source", "rows", "known_at is event_time", "known before event", "in one second", "ahead of known_at"), [_source(each) for each in checks["arrival"]["sources"]]),
        outcomes=_pairs(checks["arrival"]["outcomes"]), shuffled_words=_shuffled_words(shuffled),
        shuffled_picture=picture(shuffled, _draw_shuffled, 1.8) if "areas" in shuffled else "",
        separation_picture=_drawn(alone, _draw_separation(found["threshold"])),
        separation=table(("feature", "area", "95% interval", "null", "area of null", "value of positives alone"), [_feature(each) for each in checks["separation"].get("features", [])]),
    )  # fmt: skip
    return page(f"Leak audit of {found['frame']}", body, _STYLE)


def _findings(findings: Sequence[Mapping[str, str]]) -> str:
    found = {each["check"] for each in findings}
    passed = [
        (check, "passed", "", f"{holds[0].upper()}{holds[1:]}.")
        for check, holds in CHECKS.items()
        if check not in found
    ]
    rows = [(each["check"], each["severity"], each["name"], each["says"]) for each in findings]
    return f'<div class="findings">{table(("check", "result", "what", "why"), [*rows, *passed])}</div>'


def _source(each: Mapping[str, Any]) -> tuple[object, ...]:
    ahead = ", ".join(f"{name} {count}" for name, count in each["ahead"].items())
    return (each["source"], each["rows"], each["stamped"], each["early"], each["bulk"], ahead)


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> str:
    names = ("outcomes of", "outcomes", "known with their event", "within the rate's delay", "median lag, days")
    rows = [
        (each["name"], each["rows"], each["at_once"], "" if each["in_time"] is None else each["in_time"], _days(each["lag"])) for each in pairs
    ]  # fmt: skip
    return table(names, rows) if pairs else ""


def _days(lag: int | None) -> str:
    return "" if lag is None else f"{lag / 86_400_000_000:.1f}"


def _shuffled_words(shuffled: Mapping[str, Any]) -> str:
    if "areas" not in shuffled:
        return "Not done: see above."
    return (
        f"{len(shuffled['areas'])} models, each of labels shuffled by event, trained on {shuffled['train']} rows and asked of {shuffled['test']} "
        f"({escape(shuffled['how'])}): mean area {shuffled['mean']:.3f}, 99% interval {shuffled['low']:.3f} to {shuffled['high']:.3f}. "
        "Skill here, an interval above 0.5, means that rows of train stand in test too."
    )


def _feature(each: Mapping[str, Any]) -> tuple[object, ...]:
    area, null, only = each["area"], each["null_area"], each["outcome_only"]
    return (
        each["feature"], "" if area is None else f"{area['value']:.3f}", "" if area is None else f"{area['low']:.3f} to {area['high']:.3f}",
        f"{each['nulls']:.1%}", "" if null is None else f"{null['value']:.3f}",
        "" if only is None else f"{only['value']}: {only['rows']} rows, {only['share']:.0%} of positives",
    )  # fmt: skip


def _strongest(features: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those with an area, the most telling first."""
    there = [each for each in features if each["area"] is not None]
    return sorted(there, key=lambda each: -abs(each["area"]["value"] - 0.5))[:_DRAWN]


def _drawn(rows: Sequence[Mapping[str, Any]], draw: Any) -> str:  # noqa: ANN401 - draws rows
    return picture(rows, draw, 1 + 0.25 * len(rows)) if rows else "<p>There is nothing to draw.</p>"


def _names(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> range:
    places = range(len(rows))
    axes.set_yticks(list(places), [each["feature"] for each in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    return places


def _draw_shift(sample: int) -> Any:  # noqa: ANN401 - draws rows
    def draw(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
        places = _names(axes, rows)
        axes.barh(
            places, [each["later"] / sample for each in rows], color=_GREY, label="would change with what came later"
        )
        axes.barh(
            places,
            [each["changed"] / sample for each in rows],
            color=_RED,
            height=0.5,
            label="changed: the frame knew it",
        )
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the rows")
        axes.figure.legend(loc="outside upper center", ncols=2, frameon=False)

    return draw


def _draw_shuffled(axes: "Axes", shuffled: Mapping[str, Any]) -> None:
    axes.plot(shuffled["areas"], [0] * len(shuffled["areas"]), "o", color=_BLUE, alpha=0.6)
    axes.plot([shuffled["low"], shuffled["high"]], [0, 0], color="#222", linewidth=3)
    axes.axvline(0.5, color=_RED, linewidth=1)
    axes.set_xlim(min(0.3, *shuffled["areas"]), max(0.7, *shuffled["areas"]))
    axes.set_yticks([])
    axes.set_xlabel("area under the ROC curve on test")


def _draw_separation(threshold: float) -> Any:  # noqa: ANN401 - draws rows
    def draw(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
        places = _names(axes, rows)
        for place, each in zip(places, rows, strict=True):
            area = each["area"]
            beyond = max(area["low"], 1 - area["high"]) >= threshold
            axes.plot([area["low"], area["high"]], [place, place], color=_RED if beyond else _BLUE, linewidth=2)
            axes.plot(area["value"], place, "o", color=_RED if beyond else _BLUE)
        for edge in (1 - threshold, threshold):
            axes.axvline(edge, color=_RED, linewidth=1, linestyle="--")
        axes.axvline(0.5, color="#222", linewidth=0.8)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("area under the ROC curve")

    return draw
