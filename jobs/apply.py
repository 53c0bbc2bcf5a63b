"""`asof apply`: checks all definitions and writes Feast's registry. No Spark."""

from features.definitions.catalog import load_catalog
from features.settings import Settings
from jobs.commands import Apply, Exit
from jobs.stages import say

__all__ = ["run"]


def run(command: Apply, settings: Settings) -> int:  # noqa: ARG001 - every job has this signature
    """Exit 0 once the registry says what the catalogue says.

    Raises:
        InvalidCatalogError: all problems of all definitions.
        BusyError: the registry does not answer.
    """
    catalog = load_catalog(settings.catalog)
    # Feast costs seconds to import: wrong definitions are told before.
    from features.feast.light import import_feast  # noqa: PLC0415

    import_feast()
    from features.feast.registry import apply  # noqa: PLC0415

    applied = apply(catalog, settings)
    say(
        f"Feast's registry holds {len(applied.entities)} entities, {len(applied.views)} views and {len(applied.services)} services. "
        f"Look: feast -c {settings.feast} feature-views list"
    )
    if applied.deleted:
        say(f"Deleted, because they are no longer defined: {', '.join(applied.deleted)}.")
    return Exit.OK
