"""The OpenAPI document: what every operation may answer, and how a key is sent."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

Described = dict[int | str, dict[str, Any]]
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": "null"},
                "code": {"type": "string"},
            },
        }
    },
}
SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
USUAL: Final = (400, 401, 403, 421, 429, 500, 503)
"""What whatever needs a key may answer beside what it is asked for."""
FOREIGN: Final = ("HTTPValidationError", "ValidationError")
"""Schemas that FastAPI adds of what is never answered."""
HEADERS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def refusals(*statuses: int, usual: tuple[int, ...] = USUAL) -> Described:
    """Describe refusals: the usual ones, and those of an operation itself.

    >>> sorted(refusals(404, usual=()))
    [404]
    """
    error = {"$ref": "#/components/schemas/Error"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": error}},
            "headers": {name: {"schema": {"type": "string"}} for name in HEADERS.get(status, ())},
        }
        for status in sorted({*usual, *statuses})
    }


def answers(description: str, *media: str, located: bool = False) -> dict[str, Any]:
    """Describe what an operation is asked for, in one or several types.

    >>> list(answers("The group", JSON)["content"])
    ['application/json']
    """
    schemas = {JSON: {"type": "object"}}
    headers = {"Location": {"schema": {"type": "string"}}} if located else {}
    return {
        "description": description,
        "content": {name: {"schema": schemas.get(name, {"type": "string"})} for name in media},
        "headers": headers,
    }


def describe(app: FastAPI, open_paths: tuple[str, ...]) -> Callable[[], dict[str, Any]]:
    """Make what gives the document of an application; `open_paths` need no key.

    Example:
        app.openapi = describe(app, ("/healthz",))

    """
    write = app.openapi

    def document() -> dict[str, Any]:
        is_written = app.openapi_schema is not None
        written = write()
        if not is_written:
            _complete(written, open_paths)
        return written

    return document


def _complete(written: dict[str, Any], open_paths: tuple[str, ...]) -> None:
    components = written.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in FOREIGN:
        schemas.pop(name, None)
    schemas["Error"] = ERROR
    components["securitySchemes"] = SCHEMES
    written["security"] = [{name: []} for name in SCHEMES] + [{}]  # none on loopback
    for path, operations in written["paths"].items():
        for operation in operations.values():
            if FOREIGN[0] in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            if path in open_paths:
                operation["security"] = []
