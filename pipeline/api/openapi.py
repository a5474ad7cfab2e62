"""What the server says of itself as an OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pipeline.api.formats import Format
from pipeline.api.problems import MEDIA_TYPE

_TEXTS: Mapping[int, str] = {
    400: "The request or statement is wrong; `detail` says how to correct it.",
    401: "No key, or an unknown one.",
    403: "The caller may not do that.",
    404: "No such thing in this release.",
    406: "None of the accepted formats is offered.",
    410: "The release to which a cursor belongs is no longer kept.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    421: "Without keys only names of this machine are answered.",
    422: "The answer exceeds a limit: rows, bytes, seconds or memory.",
    429: "Too many requests; see Retry-After.",
    503: "Nothing is published, or all workers are busy; see Retry-After.",
}


def problems() -> dict[int | str, dict[str, Any]]:
    """The answers of any request that are errors, by status."""
    return {status: {"description": text, "content": {MEDIA_TYPE: {}}} for status, text in _TEXTS.items()}


def contents() -> dict[int | str, dict[str, Any]]:
    """The formats of an answer with rows."""
    return {200: {"content": {item.value[1]: {} for item in Format}}}


def described_api(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: bad parameters are answered with 400, not with FastAPI's own 422."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = found["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
            },
        }
        for operations in found["paths"].values():
            for operation in operations.values():
                for status, answer in operation["responses"].items():
                    if status[0] in "45":
                        answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                operation["responses"]["422"]["description"] = _TEXTS[422]
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}, {}]
        app.openapi_schema = found
    return app.openapi_schema
