"""Models of shuffled labels: no skill where train and test share no event, and skill where they do."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.shuffled import Parts, by_time, copies, event_codes, shuffled_labels

RNG = np.random.default_rng(11)
FEATURES = {
    "v__a": pa.array(RNG.random(300)),
    "v__b": pa.array(["x" if at < 0.4 else "y" if at < 0.8 else None for at in RNG.random(300)]),
}
POSITIVE = RNG.random(300) < 0.4


def found(events: np.ndarray, parts: Parts, positive: np.ndarray = POSITIVE, **features: pa.Array) -> dict[str, Any]:
    return shuffled_labels(FEATURES | features, positive, events, parts, 0)


def test_events_apart_leave_no_skill_however_well_a_feature_tells_the_label() -> None:
    told = found(np.arange(300), by_time(np.arange(300)), v__c=pa.array(POSITIVE))
    assert told["findings"] == []
    assert told["areas"] == found(np.arange(300), by_time(np.arange(300)), v__c=pa.array(POSITIVE))["areas"]
    assert told["low"] < 0.5
    assert (told["train"], told["test"], len(told["areas"])) == (210, 90, 20)


def test_rows_of_train_in_test_are_skill() -> None:
    events = np.arange(300) % 150
    features = {name: pa.concat_arrays([column[:150], column[:150]]) for name, column in FEATURES.items()}
    positive = np.concatenate([POSITIVE[:150], POSITIVE[:150]])
    parts = Parts(train=np.arange(300) < 150, test=np.arange(300) >= 150, how="by hand")
    told = shuffled_labels(features, positive, events, parts, 0)
    (finding,) = told["findings"]
    assert (finding.check, finding.severity, finding.name) == ("shuffled labels", "leak", "evaluation")
    assert told["mean"] > 0.7
    assert finding.says == (
        f"models that learned shuffled labels reach an area of {told['mean']:.3f} on test (99% interval {told['low']:.3f} to {told['high']:.3f}), where 0.5 is "
        "all there can be: train and test share rows, so test says nothing of new events. Part them by event, entity or time."
    )
    (twice,) = copies(events, parts)
    assert (twice.severity, twice.name) == ("leak", "rows of train in test")
    assert twice.says == (
        "150 of 150 rows of test (100.0%) have the keys and the instant of a row of train: a model is asked what it learned. "
        "Keep all rows of an event in one part, or each event once."
    )


def test_a_copy_or_two_is_a_warning() -> None:
    events = np.append(np.arange(599), 0)
    (finding,) = copies(events, by_time(np.arange(600)))
    assert finding.severity == "warning"
    assert copies(np.arange(600), by_time(np.arange(600))) == []


@pytest.mark.parametrize(("positive", "said"), [
    (np.arange(300) < 15, "Train has 15 positive and 195 negative rows with mature labels, and needs 20 of each."),
    (np.arange(300) < 100, "Test has 0 positive and 90 negative rows with mature labels, and needs 20 of each."),
])  # fmt: skip
def test_too_few_rows_are_said(positive: np.ndarray, said: str) -> None:
    (finding,) = found(np.arange(300), by_time(np.arange(300)), positive)["findings"]
    assert (finding.severity, finding.says) == ("not done", said)


def test_labels_that_all_are_of_one_event() -> None:
    # 210 rows of one event: shuffled, they are of one kind, and so is a part.
    events = np.append(np.zeros(210, np.int64), np.arange(1, 91))
    (finding,) = found(events, by_time(np.arange(300)))["findings"]
    assert finding.severity == "not done"
    assert finding.says == "A shuffle left one of the parts with labels of one kind."


def test_rows_of_one_instant_stay_together() -> None:
    parts = by_time(np.array([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]))
    assert parts.train.tolist() == [True, True, *[False] * 8]
    assert (parts.train ^ parts.test).all()
    assert not by_time(np.array([], np.int64)).train.any()


def test_events_are_equal_keys_and_instants_nulls_included() -> None:
    codes = event_codes([pa.array(["a", "a", None, None, "b"]), pa.array([1, 1, 2, 2, 1])])
    assert codes[0] == codes[1]
    assert codes[2] == codes[3]
    assert len(set(codes.tolist())) == 3
