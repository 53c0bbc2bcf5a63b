"""What the OpenAPI document says of the service, with requests that it really answers."""

from collections.abc import Sequence
from typing import Any

from fastapi.responses import PlainTextResponse

from features.definitions.catalog import Catalog
from features.definitions.expressions import ColumnType
from features.definitions.sources import Source
from features.serving.feast_http import AskedBody
from features.serving.keys import Keys
from features.serving.push_http import PushAsked
from features.store.tails import tail_source

__all__ = ["SAYS", "add_bearer", "health", "lookup", "metrics", "push", "ready"]

SAYS = """Values of features now, or at an instant: Feast's own request and answer, statuses that do not lie.

`PRESENT`, `NULL_VALUE`: as it says. `NOT_FOUND`: the key was never seen, and the value is what training frames have for it (0 or null).
`OUTSIDE_MAX_AGE`: the newest cut is older than the view's horizon; the last value stands beside the status;
a view that follows a stream says so too while the stream is silent. `INVALID`: the stored state is damaged. `metadata.asof` has each view's cut."""

_DETAIL: dict[str, Any] = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
_SENTENCE = {"content": {"application/json": {"schema": _DETAIL}}}
_STATUS: dict[str, Any] = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
_READY: dict[str, Any] = {
    "type": "object",
    "required": ["status", "because"],
    "properties": {"status": {"enum": ["ready", "not ready"]}, "because": {"type": "array", "items": {"type": "string"}}},
}  # fmt: skip
_CODES = {
    400: "The request is wrong; the sentence says where.", 401: "No token, or an unknown one.", 403: "The token may not read this.",
    404: "No such service, view or feature.", 413: "Too large.", 503: "The store does not answer, or a view is not loaded. Try again.",
    504: "No answer within the deadline.",
}  # fmt: skip
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["metadata", "results"],
    "properties": {
        "metadata": {"type": "object", "properties": {"feature_names": {"type": "array", "items": {"type": "string"}}, "asof": {"type": "object"}}},
        "results": {"type": "array", "items": {"type": "object", "properties": {
            "values": {"type": "array", "items": {}},
            "statuses": {"type": "array", "items": {"enum": ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "INVALID"]}},
            "event_timestamps": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        }}},
    },
}  # fmt: skip


_PUSHED: dict[str, Any] = {
    "type": "object",
    "required": ["new", "known", "refused"],
    "properties": {
        "new": {"type": "integer"}, "known": {"type": "integer"}, "refused": {"type": "object", "additionalProperties": {"type": "string"}},
        "watermark": {"type": "string", "format": "date-time"},
    },
}  # fmt: skip


_VALUES: dict[ColumnType, Any] = {
    "string": "a", "int64": 1, "float64": 1.5, "bool": False, "timestamp": "2026-03-02T12:00:00+00:00",
}  # fmt: skip


def add_bearer(document: dict[str, Any]) -> None:
    """What the routes' `security` refers to, in the document that FastAPI keeps."""
    document.setdefault("components", {})["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}


def health() -> dict[str, Any]:
    """The route that says that the process answers."""
    good = {"description": "It does.", "content": {"application/json": {"schema": _STATUS}}}
    return {"summary": "Whether this process answers.", "responses": {200: good}}


def ready() -> dict[str, Any]:
    """The route that says whether lookups would be answered."""
    content = {"content": {"application/json": {"schema": _READY}}}
    return {
        "summary": "Whether every view that may be asked for is loaded, and why not.",
        "responses": {
            200: {"description": "All are.", **content},
            503: {"description": "Not all are, or the store does not answer.", "content": {"application/json": {"schema": {"anyOf": [_READY, _DETAIL]}}}},
            504: {"description": _CODES[504], **_SENTENCE},
        },
    }  # fmt: skip


def metrics() -> dict[str, Any]:
    """The route that Prometheus reads."""
    good = {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "summary": "Counts and times, as Prometheus reads them.", "response_class": PlainTextResponse, "responses": {200: good},
    }  # fmt: skip


def lookup(catalog: Catalog, services: Sequence[str]) -> dict[str, Any]:
    """The route of lookups; an example a service."""
    examples = {name: {"summary": name, "value": _example(catalog, name)} for name in services}
    body = {"application/json": {"schema": AskedBody.model_json_schema(), "examples": examples}}
    good = {
        "description": "A column a feature, the keys' columns first.",
        "content": {
            "application/json": {"schema": _ANSWER},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    return {
        "summary": "Values of a service, or of single features, for some keys.",
        "openapi_extra": {"requestBody": {"required": True, "content": body}, "security": [{}, {"bearer": []}]},
        "responses": {200: good, **{code: {"description": says, **_SENTENCE} for code, says in _CODES.items()}},
    }


def push(catalog: Catalog) -> dict[str, Any]:
    """The route of pushes; an example a source that views follow."""
    followed = sorted({tail_source(view) for view in catalog.views if view.stateful} - {""})
    examples = {name: {"summary": name, "value": _pushed(catalog.source(name))} for name in followed}
    body = {"application/json": {"schema": PushAsked.model_json_schema(), "examples": examples}}
    return {
        "summary": "Take events in as they happen; pushing them again changes nothing.",
        "openapi_extra": {"requestBody": {"required": True, "content": body}, "security": [{}, {"bearer": []}]},
        "responses": {
            200: {"description": "How many events were new, how many known, and why rows were refused.", "content": {"application/json": {"schema": _PUSHED}}},
            **{code: {"description": says, **_SENTENCE} for code, says in _CODES.items()},
            400: {"description": "The request is wrong, or no row fits; the sentence says where.", "content": {"application/json": {"schema": {
                **_DETAIL, "properties": {**_DETAIL["properties"], **_PUSHED["properties"]}}}}},
        },
    }  # fmt: skip


def _pushed(source: Source) -> dict[str, Any]:
    return {"push_source_name": source.name, "df": {column.name: [_VALUES[column.type]] for column in source.given}}


def _example(catalog: Catalog, service: str) -> dict[str, Any]:
    keys = Keys([view for view, _ in catalog.views_of(catalog.service(service))], service)
    values: dict[str, list[Any]] = {name: [_VALUES[kind]] for name, kind in keys.fields.items()}
    values |= {name: [f"{entity.name}_1" if entity.type == "string" else 1] for name, entity in keys.required.items()}
    return {"feature_service": service, "entities": values, "full_feature_names": True}
