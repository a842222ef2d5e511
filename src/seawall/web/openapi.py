"""Describes problem responses in the OpenAPI schema of a FastAPI app."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from seawall.core import OptionError
from seawall.web.problems import MEDIA_TYPE

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"})
_FASTAPIS_OWN = "#/components/schemas/HTTPValidationError"
_NAMES = ("Problem", "SeawallProblem")


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description} | more


_FIELD_ERROR = {
    "type": "object",
    "required": ["field", "message", "code"],
    "properties": {
        "field": _text("Where it is, from the outside in: `body.address.city`."),
        "message": _text("What is wrong with it."),
        "code": _text("The kind of mistake."),
    },
}

PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong, as problem details (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": _text("`urn:seawall:problem:` and the code, or `about:blank`.", format="uri"),
        "title": _text("The phrase of the status."),
        "status": {"type": "integer", "description": "The status of the response.", "minimum": 100, "maximum": 599},
        "detail": _text("What happened, for people."),
        "code": _text("A stable name, for programs."),
        "category": _text("What kind of thing went wrong, such as `validation` or `external`."),
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed a little later."},
        "field": _text("The field that is wrong."),
        "reason": _text("Why it is wrong."),
        "resource": _text("The kind of thing that it is about."),
        "resource_id": {"description": "Which one of that kind."},
        "errors": {
            "description": "The fields that are wrong; or whatever the endpoint has to say.",
            "anyOf": [{"type": "array", "items": _FIELD_ERROR}, {}],
        },
        "request_id": _text("The request's id, as in the `x-request-id` header."),
        "trace_id": _text("The id of the trace that the request belongs to."),
        "error_id": _text("The id of the line in the log, from status 500 on."),
    },
    "additionalProperties": True,
}
"""The schema of a problem body."""


def describe_problems(app: Any) -> None:
    """Have the OpenAPI schema of `app` say that errors are answered with problems.

    Each operation gets a `default` response, unless it has one, and a problem for the 422 that FastAPI puts there;
    responses from 400 on that the app declares without a content get that content. All else that it declares stays.
    Webhooks and callbacks stay as they are, since others answer them; mounted apps have a schema of their own.

    To be called once or more, at any time; the schema is made and kept when FastAPI does so.
    """
    made_before = getattr(app, "openapi", None)
    if not callable(made_before):
        raise OptionError("describe_problems", "app", app, "a FastAPI app, which has an `openapi` method")
    if isinstance(made_before, _Described):
        return
    app.openapi = _Described(made_before)


class _Described:
    """In place of `app.openapi`: the same schema object as without it, described once."""

    def __init__(self, made_before: Any) -> None:
        self._made_before = made_before
        self._described: Any = None

    def __call__(self) -> dict[str, Any]:
        schema: dict[str, Any] = self._made_before()
        if schema is not self._described:
            _describe(schema)
            self._described = schema
        return schema


def _describe(schema: dict[str, Any]) -> None:
    operations = list(_operations(schema))
    if not operations:
        return
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    # An app may have a model of that name.
    name = next((name for name in _NAMES if schemas.get(name, PROBLEM) == PROBLEM), _NAMES[-1])
    schemas[name] = copy.deepcopy(PROBLEM)
    for operation in operations:
        responses = operation.setdefault("responses", {})
        for status, response in responses.items():
            if _is_fastapis_own(status, response) or (_is_error(status) and _is_bare(response)):
                response["content"] = _content(name)
        responses.setdefault("default", {"description": "Problem", "content": _content(name)})
    for unused in ("HTTPValidationError", "ValidationError"):
        if unused in schemas and f'"#/components/schemas/{unused}"' not in json.dumps(schema):
            del schemas[unused]


def _content(name: str) -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema.get("paths", {}).values():
        yield from (operation for method, operation in path.items() if method in _METHODS)


def _is_fastapis_own(status: str, response: dict[str, Any]) -> bool:
    json_schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return status == "422" and json_schema.get("$ref") == _FASTAPIS_OWN


def _is_error(status: str) -> bool:
    return status[:1] in {"4", "5"}


def _is_bare(response: dict[str, Any]) -> bool:
    return "$ref" not in response and not response.get("content")
