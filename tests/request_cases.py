"""Hostile cases of views whose asks bring request fields."""

from dataclasses import replace

from hypothesis import strategies as st

from features.definitions.expressions import columns_of
from features.definitions.features import Rate, Ratio, Requested
from features.definitions.freshness import Schedule
from features.definitions.views import FeatureView
from tests.strategies import FLOATS, INTEGERS, SECOND, STEP, Case, event_cases

__all__ = ["request_cases"]


def _askable(view: FeatureView) -> bool:
    """Whether it can have request fields, its rates aside."""
    return not view.served and (isinstance(view.freshness, Schedule) or view.source.event_id is not None)


@st.composite
def request_cases(draw: st.DrawFn, *, of_course: bool = False) -> Case:
    """Views that are finished at the asked instant, with request fields; asks of one key and instant among them, and of events that are known already."""
    case = draw(event_cases(of_course=of_course).filter(lambda case: _askable(case.view)))
    source, rows = case.view.source, case.raw["s"]
    fields_of = [name for name in ("id", "c", "n", "ver", "f", "b", "w") if name != source.version]
    chosen = draw(st.lists(st.sampled_from(fields_of), min_size=2, max_size=5, unique=True))
    needed = columns_of(source.filter) | ({source.event_id} if source.event_id and draw(st.booleans()) else set())
    request = tuple(dict.fromkeys([*chosen, *sorted(needed)]))
    numeric = [name for name in request if name in {"n", "ver", "f"}]
    view = replace(
        case.view, request=request, include_self=True, outcomes=(),
        features=(
            *(feature for feature in case.view.features if not isinstance(feature, Rate)),
            *(Requested(name=f"asked_{name}", column=name) for name in request),
            *(Ratio(name=f"share_{name}", numerator=f"asked_{name}", denominator=case.view.features[0].name) for name in numeric),
        ),
    )  # fmt: skip
    if draw(st.integers(0, 4)) == 0:
        view = replace(view, include_self=False)
    asks = [*case.asks, *draw(st.lists(st.sampled_from(case.asks), max_size=3))]
    asks += [(tuple(row[name] for name in source.key_columns("e", view.keys)), row["event_time"] + draw(st.sampled_from([0, 0, 1, SECOND, STEP])))
             for row in draw(st.lists(st.sampled_from(rows), max_size=4))]  # fmt: skip
    asks = [ask for ask in asks if None not in ask[0]]
    brought = [
        {**draw(st.sampled_from(rows)), "f": draw(st.sampled_from(FLOATS)), "n": draw(st.sampled_from(INTEGERS))} for _ in asks
    ]  # fmt: skip
    return replace(case, view=view, raw={"s": rows}, asks=asks, requests=brought)
