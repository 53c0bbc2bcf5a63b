"""The report's numbers from a frame: per attack kind, what a plain model finds with and without Asof's features, and what it rests on. No Spark.

Tables in, plain JSON data out; the same frame and plan give the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier

from features.definitions.durations import DAY
from features.definitions.names import utc
from features.errors import InputError
from features.values.sampling import WEIGHT
from jobs.metrics import Rows, precision_at, recall_at, rows_of, savings
from jobs.report.carried import Carrying, carried
from jobs.report.judged import Ranged, at_rate, budget_of, judged, metrics_of, most_recall
from jobs.report.models import SETTINGS, Inputs, fitted, inputs_of, scored
from jobs.report.plan import Plan
from jobs.report.rates import DAYS, rates
from jobs.report.truths import HELD_BACK, HONEST, PAYMENT, TRAIN, in_euros

__all__ = ["ALL", "ANY", "BASE", "CARRIED", "FEW", "RARE", "measure"]

Array = np.ndarray
BASE = "payment"
"""The set of columns that a payment says of itself; every other set has them too."""
ALL = "all three"
ANY = "any attack"
FEW = 10
"""Of fewer campaigns than that an interval holds less than it promises."""
CARRIED = 0.2
"""Of the held-back rows that are not the attack, the share by which it is told what carried a model."""
RARE = 0.001
"""The share of attacks for which precision and savings are told again."""
_APPROVED = "approved"
_OURS = "_rate_"
_ENCODED = ("merchant_risk", "bin_fraud")
"""Views of rates by merchant and by bin, beside which naive rates of both stand."""


def measure(frame: pa.Table, events: pa.Table, services: Mapping[str, Sequence[str]], plan: Plan) -> dict[str, object]:
    """All numbers of the report.

    Args:
        frame: the rows of `truths.asked` with their features as `view__feature`.
        events: all payments with `label`, 1 of those that were disputed, 0, or null where that is not settled, and `label_known_at`.
        services: columns of the frame by service.
        plan: which weeks, and at what cost.

    Raises:
        MissingError: the frame lacks a column.
        InputError: a service has no columns, or a part of the frame no rows.
    """
    sets = _sets(services)
    train = _is(frame, "part", TRAIN)
    whole = inputs_of(frame, sets[ALL], train)
    rows = _rows(frame.filter(pa.array(~train)))
    budget = budget_of(rows, plan.budget)
    kinds = sorted(set(pc.unique(frame["attack"]).to_pylist()) - {HONEST})
    work = _Work(frame, train, whole, rows, sets, plan, budget)
    return {
        "plan": _told(plan), "model": dict(SETTINGS), "budget": budget, "rare": RARE, "few": FEW,
        "sets": {name: len(columns) for name, columns in sets.items()},
        "rows": {"train": int(train.sum()), "held back": int((~train).sum()), "train stands for": round(float(frame["weight"].to_numpy()[train].sum()))},
        "days": len(np.unique(rows.day)), "attack share": float(np.average(work.attacks[~train], weights=rows.weight)),
        "kinds": {kind: work.kind(kind) for kind in (*kinds, ANY)},
        "rates": _rates(frame, events, whole, plan),
    }  # fmt: skip


class _Work:
    """What the kinds have in common."""

    def __init__(
        self,
        frame: pa.Table,
        train: Array,
        whole: Inputs,
        rows: Rows,
        sets: Mapping[str, Sequence[str]],
        plan: Plan,
        budget: int,
    ) -> None:
        self.frame, self.train, self.rows, self.sets, self.plan, self.budget = frame, train, rows, sets, plan, budget
        self.names = whole.names
        self.learned, self.held = whole.values[train], whole.values[~train]
        self.weight = frame["weight"].to_numpy()[train]
        self.attacks = ~_is(frame, "attack", HONEST)
        self.clusters = np.asarray(frame["cluster"].to_pylist(), object)

    def kind(self, kind: str) -> dict[str, object]:
        """One attack's numbers; without enough to learn from or to judge by, why there are none."""
        positive = self.attacks if kind == ANY else _is(self.frame, "attack", kind)
        counts = {}
        for part, of in ((TRAIN, self.train), (HELD_BACK, ~self.train)):
            named = set(self.clusters[positive & of])
            counts[part] = {"payments": int((positive & of).sum()), "campaigns": len(named)}
        begun = set(self.clusters[positive & self.train]) & set(self.clusters[positive & ~self.train])
        told: dict[str, object] = {"counts": counts, "begun": len(begun), "why": None}
        empty = [part for part, count in counts.items() if not count["payments"]]
        if empty:
            said = {TRAIN: "to learn from", HELD_BACK: "held back, to judge by"}
            return told | {"why": f"There are none {' and none '.join(said[part] for part in empty)}."}
        return told | self._judged(positive, begun)

    def _judged(self, positive: Array, begun: set[str]) -> dict[str, object]:
        plan, late = self.plan, positive[~self.train]
        rows = replace(self.rows, fraud=late)
        models, scores = {}, {}
        of = Inputs(names=self.names, values=self.held)
        for name, columns in self.sets.items():
            places = of.places(columns)
            models[name] = fitted(self.learned[:, places], positive[self.train], self.weight, plan.seed)
            scores[name] = scored(models[name], self.held[:, places])
        found = judged(
            rows, scores, metrics_of(self.budget, plan.review_cost), base=BASE, samples=plan.samples, seed=plan.seed
        )
        return {
            "most recall": most_recall(rows.day, late, self.budget),
            "sets": {
                name: {part: {metric: each.record() for metric, each in values.items()} for part, values in one.items()}
                | {"rare": self._rare(rows, scores[name], one["of"])}
                for name, one in found.items()
            },
            "new campaigns": self._new(rows, scores, begun) if begun else None,
            "carried": self._carried(models[ALL], rows),
        }  # fmt: skip

    def _carried(self, trees: HistGradientBoostingClassifier, rows: Rows) -> dict[str, list[list[object]]]:
        """What the model with everything rests on: told by all rows of the attack and a share of the others, which weigh more."""
        drawn = rows.fraud | (np.random.default_rng(self.plan.seed).random(len(rows.fraud)) < CARRIED)
        places, columns = np.flatnonzero(drawn), self.sets[ALL]
        weight = np.where(rows.fraud, rows.weight, rows.weight / CARRIED)
        parts = ("entity", "day", "fraud", "mature", "pending", "unobserved", "once")
        some = replace(
            rows, weight=weight[places], amount=None, **{name: getattr(rows, name)[places] for name in parts}
        )
        of = Inputs(names=self.names, values=self.held)
        inputs = Inputs(names=tuple(columns), values=self.held[np.ix_(places, of.places(columns))])
        views: dict[str, list[str]] = {}
        for column in columns:
            views.setdefault(_view(column), []).append(column)
        resting = Carrying(
            trees=trees, inputs=inputs, rows=some, metric=recall_at(self.budget, by="count"), samples=self.plan.samples, seed=self.plan.seed
        )  # fmt: skip
        return carried(resting, views)

    def _rare(self, rows: Rows, score: Array, of: Mapping[str, Ranged]) -> dict[str, float | None]:
        """Precision and savings of the same threshold where attacks are rare."""
        everything = replace(rows, score=score, fraud=self.attacks[~self.train])
        once = np.ones(len(rows.entities))
        attacks = precision_at(self.budget).prepare(everything).value(once)
        caught = savings(self.budget, review_cost=0).prepare(replace(rows, score=score)).value(once)
        of_day = np.bincount(rows.day - rows.day.min(), weights=rows.weight)
        reviewed = float(np.minimum(of_day, self.budget).sum())
        share = float(np.average(everything.fraud, weights=rows.weight))
        told = at_rate(share, (reviewed, of["precision"].value or 0.0, attacks), RARE)
        saved = told["attacks"] * caught - self.plan.review_cost * reviewed * told["reviews"]
        return {
            "any attack": attacks,
            "precision": told["precision"],
            "saved": saved,
            "reviews": reviewed * told["reviews"],
        }

    def _new(self, rows: Rows, scores: Mapping[str, Array], begun: set[str]) -> dict[str, object] | None:
        """Recall of campaigns that had not begun in the training weeks."""
        fresh = rows.fraud & ~np.isin(self.clusters[~self.train].astype(str), list(begun))
        if not fresh.any():
            return None
        some = {name: scores[name] for name in (BASE, ALL)}
        metric = {"recall": recall_at(self.budget, by="count")}
        plan = self.plan
        found = judged(replace(rows, fraud=fresh), some, metric, base=BASE, samples=plan.samples, seed=plan.seed)
        return {
            "payments": int(fresh.sum()),
            "sets": {name: one["of"]["recall"].record() for name, one in found.items()},
        }


def _rates(frame: pa.Table, events: pa.Table, whole: Inputs, plan: Plan) -> dict[str, object]:
    """The part on rates; why there is none, where there is nothing settled."""
    place = pc.index_in(frame["payment_id"], events["payment_id"].combine_chunks())
    label = events["label"].combine_chunks().take(place.combine_chunks())
    mature = events["label_mature"].combine_chunks().take(place.combine_chunks())
    settled = np.asarray(pc.and_(pc.is_valid(label), mature).to_numpy(zero_copy_only=False))
    some = frame.filter(pa.array(settled)).append_column("label", label.filter(pa.array(settled)))
    late = _is(some, "part", HELD_BACK)
    disputed = some["label"].to_numpy() == 1
    ours = [name for name in whole.names if _view(name) in _ENCODED and _OURS in name]
    told: dict[str, object] = {"days": list(DAYS), "ours": ours, "why": None}
    if not ours or not (disputed & late).any() or not (disputed & ~late).any():
        return told | {
            "why": "No disputes that are settled stand in both parts, or the services have no rates that wait for them."
        }
    own = dict(zip(ours, whole.values[settled][:, whole.places(ours)].T, strict=True))
    options = {"budget": plan.budget, "samples": plan.samples, "seed": plan.seed}
    return told | rates(some, events, (late, _rows(some.filter(pa.array(late)))), own, options)


def _sets(services: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The columns of each model: the payment's own, with those of each service, and with all of them."""
    if empty := [name for name, columns in services.items() if not columns]:
        msg = f"Service {empty[0]} has no features, so a model of it would be one of the payment alone. Give it features, or leave it out."
        raise InputError(msg)
    made = {BASE: PAYMENT} | {name: (*PAYMENT, *columns) for name, columns in services.items()}
    return made | {ALL: tuple(dict.fromkeys([*PAYMENT, *(name for columns in services.values() for name in columns)]))}


def _rows(frame: pa.Table) -> Rows:
    """For the metrics: an approved payment's amount in euros is what can be lost of it; whoever was refused loses nothing."""
    approved = _is(frame, "status", _APPROVED)
    columns = {
        "event_timestamp": frame["event_timestamp"], "cluster": frame["cluster"], "label": pa.array(np.zeros(len(frame), np.int8)), WEIGHT: frame["weight"],
        "amount": pa.array(np.where(approved, in_euros(frame), 0.0)),
    }  # fmt: skip
    return rows_of(pa.table(columns), entity="cluster", amount="amount")


def _view(column: str) -> str:
    return column.split("__", maxsplit=1)[0] if "__" in column else BASE


def _is(rows: pa.Table, name: str, value: str) -> Array:
    return np.asarray(pc.fill_null(pc.equal(rows[name], value), False).to_numpy(zero_copy_only=False))


def _told(plan: Plan) -> dict[str, object]:
    instants: dict[str, object] = {
        name: utc(getattr(plan, name)).isoformat() for name in ("start", "train_end", "held_back", "end")
    }
    numbers = {name: getattr(plan, name) for name in ("budget", "review_cost", "honest", "judged", "samples", "seed")}
    return instants | {"gap_days": plan.gap / DAY} | numbers
