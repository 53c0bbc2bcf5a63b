"""What Asof says of itself in the tags of Feast's objects, and back: plugins compute from it, never from what happens to be imported."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.definitions.entities import Entity
from features.definitions.services import FeatureService
from features.definitions.sources import Source
from features.definitions.views import FeatureView
from features.errors import InvalidCatalogError, MissingError
from features.serving.push import Followed
from features.serving.served import Served

__all__ = [
    "DEFINITION_TAG", "EVENTS_TAG", "HASH_TAG", "OWN", "definition_tags", "event_tags", "followed_of", "is_asof", "is_events", "is_own", "served_of",
]  # fmt: skip

DEFINITION_TAG, HASH_TAG, EVENTS_TAG = "asof.definition", "asof.hash", "asof.events"
OWN = {"asof.own": "true"}
"""Of what has no definition of its own: entities and data sources."""

_ASOF = "asof."
T = TypeVar("T")


def definition_tags(definition: FeatureView | FeatureService) -> dict[str, str]:
    """Of a view or service of the catalogue."""
    return {HASH_TAG: hash_of(definition), DEFINITION_TAG: _text(compile_definition(definition))}


def event_tags(followed: Followed) -> dict[str, str]:
    """Of the view through which events are pushed."""
    entities = [[compile_definition(entity), list(columns)] for entity, columns in followed.entities]
    source = compile_definition(followed.source)
    return {EVENTS_TAG: _text({"source": source, "entities": entities, "lasting_us": followed.lasting_us})}


def is_own(item: Any) -> bool:  # noqa: ANN401 - anything that Feast registers
    """Whether `asof apply` made it, and so may delete it."""
    return any(name.startswith(_ASOF) for name in item.tags)


def is_asof(view: Any) -> bool:  # noqa: ANN401 - any of Feast's kinds of views
    """Whether Asof computes its values; the other views of a registry are Feast's own."""
    return DEFINITION_TAG in view.tags


def is_events(view: Any) -> bool:  # noqa: ANN401 - any of Feast's kinds of views
    """Whether it is a view through which events are pushed; it holds no values."""
    return EVENTS_TAG in view.tags


def served_of(view: Any) -> Served:  # noqa: ANN401 - Feast's FeatureView
    """What is asked of one of Asof's views.

    Raises:
        MissingError: the tag was written by a version of Asof that knows more than this one.
    """
    return _read(view.name, _served, view.tags[DEFINITION_TAG])


def followed_of(view: Any) -> Followed:  # noqa: ANN401 - Feast's FeatureView
    """The source of a view through which events are pushed.

    Raises:
        MissingError: the tag was written by a version of Asof that knows more than this one.
    """
    return _read(view.name, _followed, view.tags[EVENTS_TAG])


def _read(name: str, load: Callable[[str], T], text: str) -> T:
    try:
        return load(text)
    except (KeyError, TypeError, ValueError, InvalidCatalogError) as error:
        msg = (
            f"Feast's registry holds view {name!r} as another version of Asof wrote it ({type(error).__name__}: {error}). "
            "Install that version here, or run `asof apply` with this one."
        )
        raise MissingError(msg) from error


@lru_cache(maxsize=1024)
def _served(text: str) -> Served:
    return Served(load_definition(json.loads(text), FeatureView))


@lru_cache(maxsize=64)
def _followed(text: str) -> Followed:
    found = json.loads(text)
    entities = tuple((load_definition(entity, Entity), tuple(columns)) for entity, columns in found["entities"])
    return Followed(
        source=load_definition(found["source"], Source), entities=entities, lasting_us=int(found["lasting_us"])
    )


def _text(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
