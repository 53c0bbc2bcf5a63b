"""What history allows: made of small profiles by hand."""

from expectations.drift import FEWEST, FEWEST_TO_BLOCK, compared, drift_rules
from expectations.profiles import Profile, Sample, overlap
from expectations.rules import Rule


def profile(day: int, samples: dict[str, Sample] | None = None, **metrics: float) -> Profile:
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return Profile(
        subject="s",
        at=f"2026-01-{day + 1:02}",
        weekday=day % 7,
        metrics={"rows": 1_000.0, **named},
        samples=samples or {},
    )


def rule(made: tuple[Rule, ...], name: str) -> Rule:
    return next(item for item in made if item.name == f"drift/{name}")


def test_without_history_nothing_is_compared_and_with_little_nothing_blocks() -> None:
    days = [profile(day) for day in range(10)]
    assert drift_rules(days[9], days[: FEWEST - 1]) == ()
    assert rule(drift_rules(days[9], days[:FEWEST]), "rows").hard is None
    assert rule(drift_rules(days[9], days[:FEWEST_TO_BLOCK]), "rows").hard is not None


def test_twice_the_rows_or_half_of_them_block_and_a_tenth_more_passes() -> None:
    days = [profile(day, rows=1_000.0 + day) for day in range(14)]
    made = rule(drift_rules(profile(14), days), "rows")
    assert made.lower is not None
    assert made.upper is not None
    assert made.hard is not None
    assert made.lower < 900
    assert made.upper > 1_100
    assert made.hard[0] is not None
    assert made.hard[1] is not None
    assert made.hard[0] > 500
    assert made.hard[1] < 2_000


def test_weekends_are_judged_by_weekends_once_there_are_three() -> None:
    days = [profile(day, rows=300.0 if day % 7 >= 5 else 1_000.0) for day in range(26)]
    saturday = rule(drift_rules(profile(26, rows=300.0), days), "rows")
    assert saturday.upper is not None
    assert saturday.upper < 500
    monday = rule(drift_rules(profile(28, rows=1_000.0), days), "rows")
    assert monday.lower is not None
    assert monday.lower > 700


def test_a_bad_day_in_the_history_moves_nothing() -> None:
    days = [profile(day, null_share__x=0.6 if day == 5 else 0.01) for day in range(14)]
    made = rule(drift_rules(profile(14, null_share__x=0.6), days), "null_share/x")
    assert made.hard is not None
    assert made.hard[1] is not None
    assert made.hard[1] < 0.6


def test_a_trend_may_go_on() -> None:
    days = [profile(day, log_mean__x=0.5 * day) for day in range(14)]
    flat, trending = (
        rule(drift_rules(profile(14, log_mean__x=7.0), days, trend=trend), "log_mean/x") for trend in (False, True)
    )
    assert flat.upper is not None
    assert trending.upper is not None
    assert trending.upper > max(7.0, flat.upper)


def test_an_empty_hour_and_an_absent_value_are_counted_by_the_rows_that_usually_come() -> None:
    days = [profile(day, hour_rows__3=40.0, hour_rows__4=50.0, share__status=0.1) for day in range(14)]
    found = compared(profile(14, hour_rows__3=41.0), days)
    assert found["absent_hours"] == 50
    assert found["absent_values/status"] == 100
    made = drift_rules(profile(14, absent_hours=50.0), days)
    assert (rule(made, "absent_hours").upper, rule(made, "absent_hours").hard) == (10.0, (None, 30.0))


def test_keys_that_nobody_saw_before_have_no_overlap() -> None:
    known = Sample(modulus=1, hashes=frozenset(range(100)))
    days = [profile(day, {"card": known}) for day in range(7)]
    assert compared(profile(7, {"card": known}), days)["overlap/card"] == 1
    strange = Sample(modulus=1, hashes=frozenset(range(1_000, 1_100)))
    assert compared(profile(7, {"card": strange}), days)["overlap/card"] == 0


def test_samples_of_different_thinness_are_compared_at_the_coarser() -> None:
    fine, coarse = Sample(modulus=2, hashes=frozenset({2, 4, 8})), Sample(modulus=4, hashes=frozenset({4}))
    assert overlap(fine, [coarse]) == 0.5
    assert overlap(fine, []) is None


def test_a_profile_survives_json() -> None:
    made = profile(3, {"card": Sample(modulus=2, hashes=frozenset({2, -4}))}, null_share__x=0.25)
    assert Profile.load(made.record()) == made
