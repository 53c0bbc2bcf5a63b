"""Feast's local engine, for the views that are not Asof's: `materialize` of Asof's own says which command loads them, before Spark starts."""

from typing import Any, Literal

from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig

from features.errors import InputError
from features.feast.tags import is_asof, is_events

__all__ = ["AsofEngine", "AsofEngineConfig", "refuse_write"]


class AsofEngineConfig(LocalComputeEngineConfig):
    """In Feast's settings file, under `batch_engine`."""

    type: Literal["features.feast.engine.AsofEngine"] = "features.feast.engine.AsofEngine"  # type: ignore[assignment]


class AsofEngine(LocalComputeEngine):
    """Materializes Feast's own views as Feast does."""

    def _materialize_one(self, registry: Any, task: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Feast's
        refuse_write(task.feature_view)
        return super()._materialize_one(registry, task, **kwargs)


def refuse_write(view: Any) -> None:  # noqa: ANN401 - any of Feast's kinds of views
    """Of Asof's views values come by Asof's own loads alone.

    Raises:
        InputError: it is one of them; the message says what to run instead.
    """
    if is_events(view):
        msg = f"View {view.name!r} takes events in and has nothing to materialize. Push events to it; `asof ingest` brings them to Hive."
        raise InputError(msg)
    if is_asof(view):
        msg = (
            f"The values of view {view.name!r} are computed, audited and loaded by Asof; Feast wrote nothing. "
            f"Run `asof materialize --cut CUT --view {view.name}` with a published cut. Feast's own views go on if they are named alone."
        )
        raise InputError(msg)
