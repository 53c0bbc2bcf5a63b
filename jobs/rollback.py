"""`asof rollback`: a view's lookups return to the generation before, by one change of a record."""

from features.definitions.catalog import load_catalog
from features.definitions.names import cut_text, micros, utc
from features.errors import InputError
from features.settings import Settings
from features.store.generations import previous
from features.store.stores import open_store
from jobs.commands import Exit, Rollback
from jobs.stages import say

__all__ = ["run"]


def run(command: Rollback, settings: Settings) -> int:
    """Takes the current generation out of what may be read.

    Raises:
        MissingError: there is no such view.
        InputError: the view has plain values, of which the store keeps one cut; or there is no generation before.
        BusyError: a load of the view runs, or the store does not answer.
    """
    view = load_catalog(settings.catalog).view(command.view)
    if not view.stateful:
        msg = (
            f"The online store keeps one cut of view {view.name!r}, whose plain values any Feast client reads: there is none to return to. "
            f"Correct its source, then compute, publish and materialize the cut again."
        )
        raise InputError(msg)
    store = open_store(settings, writable=True)
    try:
        pair = previous(store.generations(view.name), micros(settings.now()))
        if pair is None:
            msg = f"The online store holds no generation of view {view.name!r} before the current one, so there is nothing to return to."
            raise InputError(msg)
        now, before = pair
        store.roll_back(view.name, now.generation)
    finally:
        store.close()
    say(
        f"{view.name}: cut {cut_text(now.cut)} is taken back; lookups give cut {cut_text(before.cut)} again, valid from "
        f"{utc(before.valid_from).isoformat()} on. `asof materialize` loads a cut anew."
    )
    return Exit.OK
