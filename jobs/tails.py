"""What the tails of the online store still need, and what they do not."""

from features.definitions.catalog import Catalog
from features.definitions.names import micros
from features.definitions.views import FeatureView
from features.settings import Settings
from features.store.stores import open_store
from features.store.tails import tail_source

__all__ = ["trim_tail"]


def trim_tail(settings: Settings, catalog: Catalog, view: FeatureView) -> int:
    """Drops from the tail that a view follows what every kept generation of every view knows; how many entries that were.

    A row that a lag raises is known to a cut later than its entry says. Two at once do no harm.

    Raises:
        BusyError: the store does not answer.
    """
    source = tail_source(view)
    if not source:
        return 0
    followers = [each for each in catalog.views if each.stateful and tail_source(each) == source]
    store = open_store(settings, writable=True)
    try:
        cuts = [head.cut for each in followers for head in store.generations(each.name)]
        loaded = all(store.generations(each.name) for each in followers)
        # A view that is not loaded yet will be at a cut of now; what its first state does not know must be there then.
        now = micros(settings.now())
        first = [] if loaded else [each.schedule.cut_before(now) - 2 * each.schedule.period_us for each in followers]
        lag = max(each.source.lag_us for each in followers)
        return store.trim(source, min((*cuts, *first)) - lag) if cuts or first else 0
    finally:
        store.close()
