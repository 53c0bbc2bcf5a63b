"""What a service gives for values that are missing or stale, as its policies say; the statuses beside them stay as they are."""

from collections.abc import Mapping, Sequence

from features.definitions.services import Choice, FeatureService, Policy
from features.errors import AsofError, MissingError, StaleError
from features.serving.served import Served, Status, ViewColumns
from features.store.values import Cell

__all__ = ["Rules", "enforced", "rules_of"]

Rules = Mapping[str, Mapping[str, Policy]]
"""View to feature to its policy; of features that are served as they are there is none."""

_MISSING = frozenset[Status](("never_seen", "no_key", "damaged"))


def rules_of(service: FeatureService, views: Sequence[tuple[Served, Sequence[str]]]) -> Rules:
    """Of what a service takes; a policy that names its feature outdoes one of the whole view."""
    made: dict[str, dict[str, Policy]] = {}
    for policy in sorted(service.policies, key=lambda policy: policy.feature is not None):
        taken = next(features for served, features in views if served.view.name == policy.view)
        for name in taken if policy.feature is None else (policy.feature,):
            made.setdefault(policy.view, {})[name] = policy
    return made


def enforced(service: str, rules: Rules, served: Served, found: ViewColumns) -> ViewColumns:
    """The view's values by the rules.

    Raises:
        StaleError: a value is stale whose policy is to fail.
        MissingError: a value is missing whose policy is to fail.
    """
    of_view = rules.get(found.view, {})
    missing = [place for place, status in enumerate(found.statuses) if status in _MISSING]
    stale = [place for place, status in enumerate(found.statuses) if status == "stale"]
    if not of_view or not (missing or stale):
        return found
    values = dict(found.values)
    for name, policy in of_view.items():
        cases: tuple[tuple[list[int], Choice, type[AsofError]], ...] = (
            (missing, policy.missing, MissingError),
            (stale, policy.stale, StaleError),
        )
        for places, choice, error in cases:
            if not places or choice == "serve":
                continue
            if choice == "fail":
                raise error(_failed(service, found, name, places))
            values[name] = _replaced(values[name], places, _other(choice, served, name))
    return found._replace(values=values)


def _other(choice: Choice, served: Served, name: str) -> Cell:
    return served.unseen[name] if choice == "default" else None


def _replaced(column: Sequence[Cell], places: Sequence[int], value: Cell) -> list[Cell]:
    made = list(column)
    for place in places:
        made[place] = value
    return made


def _failed(service: str, found: ViewColumns, name: str, places: Sequence[int]) -> str:
    statuses = ", ".join(sorted({found.statuses[place] for place in places}))
    return (
        f"Service {service!r} takes {found.view}.{name} from no key that is {statuses}, and {len(places)} of {len(found.statuses)} keys are "
        f"(row {places[0] + 1} first): its policy is to fail. Ask without them, or when the view is loaded anew; `asof status` says how old it is."
    )
