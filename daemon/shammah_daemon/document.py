"""What the OpenAPI document says of errors and streams, and what FastAPI says there by itself.

Every route names the failures that it can have; a test asks whether it is true.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shammah.protocol import ErrorResponse
from shammah_daemon.failures import OPENAI_PATHS

Responses = dict[int | str, dict[str, Any]]

#: Each server-sent event; what is in its data is JSON, or the word [DONE].
_EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
    "required": ["data"],
}

#: An answer that may be streamed instead.
STREAM: Responses = {200: {"content": {"text/event-stream": {"schema": _EVENT}}}}

#: Events, for as long as the listener stays.
EVENTS: Responses = {
    200: {"description": "JobEvent after JobEvent", **STREAM[200]},
}

#: Progress of an export, and at last what was written.
EXPORT_EVENTS: Responses = {
    200: {"description": "ExportEvent after ExportEvent", **STREAM[200]},
}

_REASONS = {
    400: "The request is not usable",
    401: "No token, or a wrong one; over TCP",
    403: "A web page, another user, or another host's name",
    404: "There is no such thing",
    408: "The request did not arrive in time",
    409: "Not possible in the present state",
    413: "The body is too long or too deep",
    415: "A body of a kind that is not taken",
    422: "The request is not usable",
    429: "Too many wrong tokens; over TCP",
    502: "The Hugging Face hub refuses, or cannot be reached",
    503: "No engine can answer",
    507: "The home folder cannot be written",
}

#: What the doors may say to everybody, and to who sends a body.
_DOORS = (401, 403, 408, 429)
_BODIES = (413, 415)


def raw(media_type: str, description: str = "Successful Response") -> Responses:
    """An answer that is no JSON."""
    content = {media_type: {"schema": {"type": "string"}}}
    return {200: {"content": content, "description": description}}


def errors(*statuses: int) -> Responses:
    """The failures of a route, in OpenAI's shape."""
    return {
        status: {"model": ErrorResponse, "description": _REASONS[status]} for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let the document tell what this application does, and not what FastAPI does by default."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _corrected(
                get_openapi(title=app.title, version=app.version, routes=app.routes)
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _corrected(document: dict[str, Any]) -> dict[str, Any]:
    """Validation errors have our shape, and the status that OpenAI's clients know; the doors stand
    before every route."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            refusals = [*_DOORS, *(_BODIES if "requestBody" in operation else ())]
            if responses.pop("422", None) is not None:
                refusals.append(400 if path.startswith(OPENAI_PATHS) else 422)
            for status in refusals:
                responses[str(status)] = _refusal(status)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}, {}]  # on the socket nobody needs one
    return document


def _refusal(status: int) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"}
    return {
        "description": _REASONS[status],
        "content": {"application/json": {"schema": reference}},
    }
