"""Rules written by hand, in files named as those of features/views, and what is known of the sources' columns."""

from expectations.rules import Facts, Rule
from expectations.views import identity, merchants, payments
from features.definitions.sources import Source
from features.definitions.views import FeatureView

__all__ = ["facts_of", "written_rules"]

_MODULES = (identity, merchants, payments)
_NONE = Facts()


def facts_of(source: Source) -> Facts:
    """By the name of the source that ingests the table; no facts where nobody wrote any."""
    return next(
        (module.SOURCES[source.ingested_by] for module in _MODULES if source.ingested_by in module.SOURCES), _NONE
    )


def written_rules(view: FeatureView) -> tuple[Rule, ...]:
    """Of a view by its name. A rule about a column that the view does not have belongs to another catalogue's view."""
    columns = {*view.keys, *view.types, "asof_status", "event_timestamp"}
    rules = (rule for module in _MODULES for rule in module.RULES.get(view.name, ()))
    return tuple(rule for rule in rules if columns.issuperset(rule.columns))
