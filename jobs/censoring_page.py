"""The censoring report as one HTML file: two pictures and their numbers."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from features.values.labels import STATUSES
from jobs.pages import page, picture, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["censoring_page"]

_COLOURS = {"positive": "#c0392b", "negative": "#7f9cb5", "pending": "#e6b34d", "unobserved": "#c9c9c9"}
_BODY = """<p>Events from {start} on, before {end}, as known at {as_of}; horizon {horizon}; definition {hash}. Days are UTC, by event_time.</p>
<h2>How many labels are open</h2>
<p>Pending: the horizon has not passed and no outcome is known. The share is of observed events; blocked ones that were not explored are unobserved.</p>
{days_picture}
<h2>How long outcomes take</h2>
<p>{lag_words}</p>
{lag_picture}
<h2>Numbers</h2>
{lag_table}
{days_table}"""
_METHOD = (
    "The share of positive events whose outcome is known within so many days of the event, of those known within {reach} days, learned from {positives} "
    "positives of any age. Young events show only quick outcomes; the product-limit estimator for right-truncated delays corrects that "
    "(Lynden-Bell 1971; Lagakos, Barraj and De Gruttola, Biometrika 75, 1988)."
)


def censoring_page(found: Mapping[str, Any]) -> str:
    """The page of what `jobs.censoring.censoring` found."""
    lag = found["lag"]
    plain = {name: escape(str(found[name])) for name in ("start", "end", "as_of", "horizon", "hash")}
    words = (
        _METHOD.format(reach=lag["reach_days"], positives=lag["positives"])
        if lag["shares"]
        else "No event is positive yet."
    )
    body = _BODY.format(
        **plain, lag_words=words,
        days_picture=picture(found["days"], _draw_days) if found["days"] else "<p>There are no events.</p>",
        lag_picture=picture(lag["shares"], _draw_lag) if lag["shares"] else "",
        lag_table=table(("known within, days", "share"), [(n, f"{share:.2%}") for n, share in enumerate(lag["shares"])]) if lag["shares"] else "",
        days_table=table(("day", "events", *STATUSES, "share pending"), [_day(row) for row in found["days"]]),
    )  # fmt: skip
    return page(f"Label {found['label']}: how complete it is", body)


def _day(row: Mapping[str, Any]) -> tuple[object, ...]:
    share = row["share_pending"]
    return (row["day"], row["events"], *(row[name] for name in STATUSES), "" if share is None else f"{share:.2%}")


def _draw_days(axes: "Axes", rows: list[Mapping[str, Any]]) -> None:
    days = range(len(rows))
    below = [0] * len(rows)
    for status in STATUSES:
        counts = [row[status] for row in rows]
        axes.bar(days, counts, bottom=below, color=_COLOURS[status], label=status, width=0.9)
        below = [a + b for a, b in zip(below, counts, strict=True)]
    step = max(1, len(rows) // 6)
    axes.set_xticks(list(days)[::step], [row["day"] for row in rows][::step])
    axes.set_ylabel("events")
    share = axes.twinx()
    share.plot(days, [row["share_pending"] for row in rows], color="#222", linewidth=1.5, label="share pending")
    share.set_ylim(0, 1.02)
    share.set_ylabel("share pending")
    axes.figure.legend(loc="outside upper center", ncols=5, frameon=False)


def _draw_lag(axes: "Axes", shares: list[float]) -> None:
    axes.step(range(len(shares)), shares, where="post", color=_COLOURS["positive"], linewidth=1.8)
    axes.set_xlabel("days after the event")
    axes.set_ylabel("share known")
    axes.set_xlim(0, max(1, len(shares) - 1))
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
