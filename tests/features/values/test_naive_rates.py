"""A naive fraud rate, of what is known today at past rows, makes a model look better in backtest than it is live; rates by what was known do not.

Merchants differ, and now and then one is under attack for a few days; fraud is told of three days to a month later. A model is trained on thirty days, tested
on the next fifteen with all that is known once its frauds are told of (the backtest), and then scores the fifteen days after, each by what its cut knew (live).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features import Entity, FeatureView, Source, arrival_rate, cohort_rate, fields, flat, lag_corrected_rate
from features.definitions.durations import DAY
from features.values.fits import fitted
from features.values.summing import sums
from features.values.sweep import sweep
from features.values.timeline import Asks, Rows, timeline

Array = np.ndarray
MERCHANTS, DAYS, A_DAY = 60, 170, 8
TRAINED, TESTED, LIVE, END = 100, 130, 145, 160
"""Days: from each to the next a model is trained, tested in backtest, used."""

PAYMENTS = Source(
    name="payments", table="raw.payments", event_id="id", known_at="known",
    columns=(*fields("string", "merchant"), *fields("int64", "id"), *fields("timestamp", "event_time known")),
)  # fmt: skip
FRAUDS = Source(
    name="frauds", table="raw.frauds", event_id="fraud", known_at="known",
    columns=(*fields("string", "merchant"), *fields("int64", "fraud id"), *fields("timestamp", "event_time known")),
)  # fmt: skip
VIEW = FeatureView(
    name="merchant_fraud", entity=Entity(name="merchant", keys=("merchant",)), source=PAYMENTS, outcomes=(FRAUDS,), remember="365d",
    features=flat((
        cohort_rate(FRAUDS, of="id", over="30d", delay="30d", smoothed=50),
        arrival_rate(FRAUDS, of="id", over="30d", smoothed=50),
        lag_corrected_rate(FRAUDS, of="id", over="45d", mature="30d", least=0.3, smoothed=50),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Payments in order of (merchant, time), microseconds; `told` is when a fraud becomes known."""

    merchant: Array
    time: Array
    fraud: Array
    told: Array

    def known_before(self, instant: int) -> dict[str, Rows]:
        """As a source holds them then, with no trace of what came later."""
        paid, told = np.flatnonzero(self.time < instant), np.flatnonzero(self.fraud & (self.told < instant))
        ids = {"payments": {"id": pa.array(paid)}, "frauds": {"fraud": pa.array(told), "id": pa.array(told)}}
        return {
            name: Rows(
                key=self.merchant[at], time=when[at], known=when[at], undoes=when[at], retract=np.zeros(len(at), bool),
                first=np.ones(len(at), bool), columns=ids[name],
            )
            for name, at, when in (("payments", paid, self.time), ("frauds", told, self.told))
        }  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(5)
    merchant = np.repeat(np.arange(MERCHANTS), DAYS * A_DAY)
    time = np.sort(rng.integers(0, DAYS * DAY, (MERCHANTS, DAYS * A_DAY)), axis=1).ravel()
    usual = np.exp(rng.normal(np.log(0.015), 0.9, MERCHANTS))
    attacked = np.repeat(rng.random((MERCHANTS, DAYS // 5)) < 0.06, 5, axis=1)
    share = np.where(attacked[merchant, time // DAY], 0.35, np.minimum(usual, 0.2)[merchant])
    fraud = rng.random(len(time)) < share
    return World(merchant, time, fraud, time + rng.integers(3 * DAY, 30 * DAY, len(time)))


def days(world: World, first: int, end: int) -> Array:
    return np.flatnonzero((world.time >= first * DAY) & (world.time < end * DAY))


def naive(world: World, rows: Array, today: Array) -> Array:
    """Frauds known today over the merchant's payments, of the seven days before each row: what `count(*) filter (where is_fraud)` gives."""
    made, each = np.empty((len(rows), 1)), DAYS * A_DAY
    for n, (row, now) in enumerate(zip(rows, today, strict=True)):
        begin = world.merchant[row] * each
        start = begin + np.searchsorted(world.time[begin:row], world.time[row] - 7 * DAY)
        made[n] = (world.fraud[start:row] & (world.told[start:row] < now)).mean() if start < row else 0.0
    return made


def delayed(world: World, rows: Array, known_before: int) -> Array:
    """The view's rates at the cut served at each row, by the engine, from what is known before an instant."""
    known = world.known_before(known_before)
    asks = Asks(key=world.merchant[rows], instant=world.time[rows])
    cuts = sorted({VIEW.schedule.cut_served(instant) for instant in asks.instant.tolist()})
    lines = {source.name: timeline(known[source.name], source, VIEW.freshness) for source in VIEW.sources}
    found = sweep(VIEW, known, asks, fits=fitted(VIEW, cuts, sums(VIEW, lines, cuts)))
    return np.stack([np.asarray(column.fill_null(0.0)) for column in found.columns.values()], axis=1)


def delayed_live(world: World, first: int, end: int) -> Array:
    """Day by day, each from nothing but what had been known at its cut."""
    rows = days(world, first, end)
    made = np.empty((len(rows), len(VIEW.features)))
    cuts = np.array([VIEW.schedule.cut_served(instant) for instant in world.time[rows].tolist()])
    for cut in np.unique(cuts):
        made[cuts == cut] = delayed(world, rows[cuts == cut], int(cut))
    return made


def interval(fraud: Array, score: Array, merchant: Array) -> tuple[float, float]:
    """Of the area under the ROC curve, 99 %: a bootstrap by merchant, whose days are not independent."""
    rng, places = np.random.default_rng(1), [np.flatnonzero(merchant == m) for m in range(MERCHANTS)]
    drawn = []
    for _ in range(200):
        some = np.concatenate([places[m] for m in rng.integers(0, MERCHANTS, MERCHANTS)])
        drawn.append(roc_auc_score(fraud[some], score[some]))
    low, high = np.quantile(drawn, [0.005, 0.995])
    return float(low), float(high)


def test_a_naive_rate_inflates_the_backtest_and_delayed_rates_do_not(world: World) -> None:
    trained, tested, live = days(world, TRAINED, TESTED), days(world, TESTED, LIVE), days(world, LIVE, END)
    today = np.full(len(world.time), (LIVE + 25) * DAY)  # the backtest is made when its frauds are known

    def scores(train: Array, test: Array, used: Array) -> tuple[Array, Array]:
        model = LogisticRegression(max_iter=1000).fit(train / train.std(axis=0), world.fraud[trained])
        return tuple(model.predict_proba(part / train.std(axis=0))[:, 1] for part in (test, used))

    lookups = naive(world, live, world.time[live])
    past, now = scores(naive(world, trained, today[trained]), naive(world, tested, today[tested]), lookups)
    low, _ = interval(world.fraud[tested], past, world.merchant[tested])
    naive_past, naive_live = roc_auc_score(world.fraud[tested], past), roc_auc_score(world.fraud[live], now)
    assert naive_live < low
    assert naive_past - naive_live > 0.1

    at_end = int(today[0])
    past, now = scores(
        delayed(world, trained, at_end), delayed(world, tested, at_end), delayed_live(world, LIVE, END)
    )  # fmt: skip
    low, high = interval(world.fraud[tested], past, world.merchant[tested])
    ours_past, ours_live = roc_auc_score(world.fraud[tested], past), roc_auc_score(world.fraud[live], now)
    assert low < ours_live < high
    assert abs(ours_past - ours_live) < 0.05
    assert ours_live > naive_live, (naive_past, naive_live, ours_past, ours_live, low, high)


def test_what_a_backtest_computes_later_is_what_was_served_then(world: World) -> None:
    rows = days(world, LIVE, LIVE + 3)
    assert np.array_equal(delayed(world, rows, (END + 20) * DAY), delayed_live(world, LIVE, LIVE + 3))
