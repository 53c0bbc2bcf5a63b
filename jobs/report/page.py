"""The report as one HTML file for a head of risk: what was done, what came out, how far it carries over."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from jobs.pages import page, picture, table
from jobs.report.pictures import draw_rates, draw_recall
from jobs.report.real import real_payments
from jobs.report.words import NAMES, SEEN, number, percent, ranged, verdict

__all__ = ["report_page"]

_STYLE = """
h2 { margin-top: 2.2rem } .wide { overflow-x: auto; -webkit-overflow-scrolling: touch } .wide table { min-width: 34rem }
td { vertical-align: top } .said td, .said th { text-align: left } .short { padding: .6rem 1rem; border-left: .4rem solid #33658a; background: #eef3f7 }
.muted { color: #666 } @media (max-width: 40rem) { body { margin: 1rem auto; font-size: 15px } .drawing { overflow-x: auto } .drawing svg { min-width: 34rem } }"""
_BODY = """<div class="short">{short}</div>
<h2>What was done</h2>
{done}
<h2>What is found, attack by attack</h2>
<p>Each attack has a model of its own, and its own {budget} reviews a day. Recall: of the attack's payments, the share that is reviewed; the bar is the 95% interval, the
grey line the most that so few reviews can find. All models have the same settings, which were not tuned, and differ in their columns alone. A draw that has a
campaign twice needs twice the reviews of its day: where the budget is nearly used up, an interval lies below its value, and gains are the safer reading.</p>
<div class="drawing">{picture}</div>
<div class="wide">{recall}</div>
<h2>What the features add</h2>
<p>All three services beside the payment's own columns. A gain whose interval begins above zero is one; where it holds zero, nothing was shown, in either direction.</p>
<div class="wide said">{verdicts}</div>
<h2>Precision and money</h2>
<p>Of what is reviewed, the share that is the attack in question (in brackets: any attack). Saved: the euros of approved attack payments that reviews stop, less
{cost} a review, over {days} days. What promotion abuse, prohibited goods or tested cards cost is not their amount, so there the sum says little.</p>
<div class="wide">{money}</div>
<h2>What carried it</h2>
<p>From the model with everything: how much recall is lost when all columns of a view are shuffled among the held-back payments, and then single features of the two views that carry
most; on all payments of the attack and a fifth of the others. Where several views know the same thing, none of them is missed much when it alone is shuffled, so small losses do not mean that a view is useless.</p>
<div class="wide said">{carried}</div>
<h2>Rates that wait, and rates that do not</h2>
{rates}
<h2>How far it carries over</h2>
{over}
<h2>Payments that we did not make</h2>
{real}"""
_OVER = """<p>The attacks are ours: the simulator's (docs/simulator.md), whose author also knew which features are usual. That they are found shows that the features say what they are meant to
say, and that a model can learn from them; it is no promise about your payments. People and attackers here do not learn, and attackers do not react to blocks.</p>
<p><b>Attacks are {share} of the held-back payments.</b> At that rate the reviews are full of attacks. In reality they are rarer by one or two orders of magnitude (the ECB counted 0.028% of card
value in 2021). Recall at the same threshold carries over; precision and savings do not. The column "if rare" tells precision and savings again as they would be if attacks were
{rare} of all payments, everything else alike.</p>
<p>A model here learns from the truth. A team learns from disputes, which come weeks later and miss what nobody disputes.</p>"""


def report_page(found: Mapping[str, Any]) -> str:
    """The page of what `measure` found."""
    kinds = found["kinds"]
    measured = {kind: one for kind, one in kinds.items() if one["why"] is None}
    body = _BODY.format(
        short=_short(found, measured), done=_done(found), budget=found["budget"], picture=_drawn(found, measured), recall=_recall(found), verdicts=_verdicts(found),
        cost=f"{found['plan']['review_cost']:.2f} euros", days=found["days"], money=_money(measured, found), carried=_carried(measured), rates=_rates(found["rates"]),
        over=_OVER.format(share=percent(found["attack share"]), rare=percent(found["rare"])), real=_real(),
    )  # fmt: skip
    return page("Does it catch anything?", body, _STYLE)


def _short(found: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    """The answer in some lines."""
    said = {kind: verdict(one, found["few"])[0] for kind, one in measured.items() if kind != "any attack"}
    lines = []
    if "any attack" in measured:
        sets = measured["any attack"]["sets"]
        best, base = (sets[name]["of"]["recall"] for name in ("all three", "payment"))
        lines.append(
            f"One model for all attacks, {found['budget']} reviews a day: it finds {ranged(best)} of attack payments; with the payment's own columns alone {ranged(base)}. "
            f"The most that so few reviews can find is {percent(measured['any attack']['most recall'])}."
        )
    told = (
        ("more", "More is found with the features"),
        ("none", "No difference was shown"),
        ("less", "Less is found with them"),
    )
    for word, text in told:
        names = [str(NAMES.get(kind, kind)) for kind, each in said.items() if each == word]
        lines += [f"{text}: {', '.join(names)}."] if names else []
    unseen = [str(NAMES.get(kind, kind)) for kind, one in found["kinds"].items() if one["why"] is not None]
    lines += [f"Not measured: {', '.join(unseen)}; see below why."] if unseen else []
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _done(found: Mapping[str, Any]) -> str:
    plan, rows = found["plan"], found["rows"]
    days = {
        name: f"{datetime.fromisoformat(plan[name]):%Y-%m-%d}" for name in ("start", "train_end", "held_back", "end")
    }
    sets = ", ".join(f"{name} {count}" for name, count in found["sets"].items())
    text = (
        f"Models learned from payments from {days['start']} on, before {days['train_end']}: {rows['train']:,} that stand for {rows['train stands for']:,}, since of honest ones a share of "
        f"{plan['honest']:g} was taken. Then {plan['gap_days']:g} days that nobody looked at, and {found['days']} held-back days from {days['held_back']} on, before {days['end']}: {rows['held back']:,} payments"
    )
    text += (
        "."
        if plan["judged"] == 1
        else f", of honest ones a share of {plan['judged']:g}, each counted {1 / plan['judged']:.3g} times."
    )
    more = (
        f"Every value is the one that was known at the payment's instant. Columns of each model: {sets}. Status, score and ids are never among them. Intervals draw whole campaigns and whole "
        f"accounts of honest payers, {plan['samples']} times, seed {plan['seed']}. Gradient-boosted trees of scikit-learn: "
        + ", ".join(f"{name} {value}" for name, value in found["model"].items()) + "."
    )  # fmt: skip
    unknown = found.get("unknown", {}).get("count", 0)
    last = (
        f"<p>{unknown:,} attack payments of the truth are not among the payments: voided later, or in quarantine.</p>"
        if unknown
        else ""
    )
    return f"<p>{escape(text)}</p><p>{escape(more)}</p>{last}"


def _drawn(found: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    sets = list(found["sets"])
    given = [
        (NAMES.get(kind, kind), one["most recall"], [one["sets"][name]["of"]["recall"] for name in sets])
        for kind, one in measured.items()
    ]
    return picture((sets, given), draw_recall, 0.8 + 0.7 * len(given)) if given else "<p>There is nothing to draw.</p>"


def _recall(found: Mapping[str, Any]) -> str:
    sets = list(found["sets"])
    head = (
        "attack",
        "payments (campaigns) to learn from",
        "held back",
        *(name if name == "payment" else f"+ {name}" for name in sets),
        "the most",
    )
    lines: list[Sequence[object]] = []
    for kind, one in found["kinds"].items():
        counts = [f"{count['payments']} ({count['campaigns']})" for count in one["counts"].values()]
        if one["why"] is not None:
            lines.append((NAMES.get(kind, kind), *counts, one["why"], *("" for _ in sets)))
            continue
        recalls = [ranged(one["sets"][name]["of"]["recall"]) for name in sets]
        lines.append((NAMES.get(kind, kind), *counts, *recalls, percent(one["most recall"])))
    return table(head, lines)


def _verdicts(found: Mapping[str, Any]) -> str:
    lines = []
    for kind, one in found["kinds"].items():
        if one["why"] is not None:
            lines.append((NAMES.get(kind, kind), "", f"Not measured. {one['why']} {SEEN.get(kind, '')}"))
            continue
        _, text = verdict(one, found["few"])
        gain = one["sets"]["all three"]["gain"]["recall"]
        lines.append((NAMES.get(kind, kind), ranged(gain, signed=True), f"{text} {SEEN.get(kind, '')}"))
    return table(("attack", "recall gained", "what that says"), lines)


def _money(measured: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    head = (
        "attack",
        "columns",
        "precision",
        "saved, euros",
        f"precision if rare ({percent(found['rare'])})",
        "saved if rare",
    )
    lines = []
    for kind, one in measured.items():
        for name in ("payment", *(name for name in one["sets"] if name != "payment")):
            each = one["sets"][name]
            any_, rare = percent(each["rare"]["any attack"]), each["rare"]
            lines.append((
                NAMES.get(kind, kind), name, f"{ranged(each['of']['precision'])} [{any_}]", ranged(each["of"]["saved"], money=True), percent(rare["precision"]), number(rare["saved"]),
            ))  # fmt: skip
    return table(head, lines)


def _carried(measured: Mapping[str, Any]) -> str:
    lines = []
    for kind, one in measured.items():
        views, features = (one["carried"][part] for part in ("views", "features"))
        told = ["; ".join(f"{name} {ranged(loss)}" for name, *loss in part) for part in (views, features)]
        lines.append((NAMES.get(kind, kind), told[0] or "no view alone", told[1] or "no feature alone"))
    return table(("attack", "views, recall lost", "features, recall lost"), lines)


def _rates(rates: Mapping[str, Any]) -> str:
    if rates["why"] is not None:
        return f"<p>Not measured. {escape(rates['why'])}</p>"
    days = " and ".join(str(each) for each in rates["days"])
    text = (
        f"Will a payment be disputed within thirty days? The same model, from nothing but rates of its merchant and its card's bin, asked about the same {rates['rows']['held back']:,} payments with "
        f"{rates['frauds']['held back']:,} disputes. Naive rates count, over the {days} days before a payment, the disputes that the data holds when it ends: what a join of payments and disputes gives. "
        "In the backtest they know what nobody knew; in use the same query finds only what had been known by then. Ours wait for outcomes, and have one value for both."
    )
    lines = []
    for name, one in rates["scores"].items():
        of, gain = one["of"], one["gain"]
        shown = "" if name == "naive, in use" else ranged(gain["auc"], signed=True, share=False)
        lines.append(
            (name, ranged(of["auc"], share=False), shown, ranged(of["average precision"]), ranged(of["recall"]))
        )
    head = ("rates", "AUC ROC", "above naive in use", "average precision", f"recall at {rates['budget']} a day")
    drawn = picture([(name, one["of"]["auc"]) for name, one in rates["scores"].items()], draw_rates, 1.8)
    return f'<p>{escape(text)}</p><p>{escape(_rates_said(rates))}</p><div class="drawing">{drawn}</div><div class="wide">{table(head, lines)}</div>'


def _rates_said(rates: Mapping[str, Any]) -> str:
    """What the intervals allow to be said."""
    backtest, ours = (rates["scores"][name]["gain"]["auc"] for name in ("naive, in the backtest", "ours"))
    inflated = backtest[1] is not None and backtest[1] > 0
    said = (
        "The naive rates look better in the backtest than they are in use"
        if inflated
        else "Here the naive rates do not surely look better in the backtest than in use"
    )
    if ours[1] is not None and ours[1] > 0:
        return f"{said}; ours are better in use."
    if ours[2] is not None and ours[2] < 0:
        return f"{said}; in use ours are worse than naive ones, for they wait while naive ones already count the first disputes."
    return f"{said}; in use ours are neither surely better nor surely worse."


def _real() -> str:
    lines = real_payments()
    if not lines:
        return "<p>docs/real-payments.md is not at hand here; it has the numbers of public card payments that nobody here shaped.</p>"
    text = (
        "1.17 million public card payments of the Fraud Detection Handbook, through the same ingest and frames (docs/real-payments.md). They have a customer, a terminal and an amount, so few of these "
        "features can be made of them; the attacks are others, and the figures stand beside ours without being comparable. What they show is the same: history adds what the payment alone does not say."
    )
    return f'<p>{escape(text)}</p><div class="wide">{table(lines[0], lines[1:])}</div>'
