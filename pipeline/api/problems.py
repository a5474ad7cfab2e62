"""Errors of the server as RFC 9457 problem documents, which say what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ingest.errors import ConfigError, LakemeshError, RetriableError

MEDIA_TYPE = "application/problem+json"


class Kind(Enum):
    """What went wrong: the end of the document's `type`, its status, and its title."""

    BAD_REQUEST = ("bad-request", 400, "The request cannot be read")
    REFUSED = ("statement-refused", 400, "Only one SELECT over published tables is run")
    FAILED = ("statement-failed", 400, "The statement cannot be run")
    UNAUTHENTICATED = ("unauthenticated", 401, "A key or token is needed")
    FORBIDDEN = ("forbidden", 403, "This caller may not do that")
    NOT_FOUND = ("not-found", 404, "There is no such thing in this release")
    METHOD = ("method-not-allowed", 405, "The server only reads")
    NOT_ACCEPTABLE = ("not-acceptable", 406, "None of the accepted formats is offered")
    GONE = ("release-gone", 410, "That release is no longer kept")
    BODY = ("body-too-large", 413, "The body is too large")
    MEDIA = ("unsupported-media-type", 415, "The body has another type")
    HOST = ("misdirected", 421, "This server is not addressed by that name")
    ROWS = ("too-many-rows", 422, "The answer has too many rows")
    BYTES = ("too-many-bytes", 422, "The answer is too large")
    SECONDS = ("too-slow", 422, "The answer takes too long")
    MEMORY = ("too-much-memory", 422, "The answer needs too much memory")
    RATE = ("too-many-requests", 429, "Too many requests")
    LEFT = ("client-left", 499, "The client has left")
    UNEXPECTED = ("unexpected", 500, "A defect of the server")
    BUSY = ("busy", 503, "All workers are busy")
    NOTHING = ("nothing-published", 503, "There is no release to read")
    UNAVAILABLE = ("unavailable", 503, "The release cannot be read at the moment")

    @property
    def slug(self) -> str:
        """What clients compare."""
        return self.value[0]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]

    @property
    def title(self) -> str:
        """One sentence, the same for all problems of the kind."""
        return self.value[2]


KINDS: Mapping[str, Kind] = {kind.slug: kind for kind in Kind}


class Problem(LakemeshError):  # noqa: N818  what RFC 9457 calls it
    """An answer that is an error.

    Args:
        detail: what is wrong with this request, and what to do next.
        headers: of the answer.
    """

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The problem document."""
        kind = self.kind
        return {
            "type": f"urn:lakemesh:problem:{kind.slug}",
            "title": kind.title,
            "status": kind.status,
            "detail": str(self),
        }


def problem_of(error: LakemeshError) -> Problem:
    """The problem that an error of the project is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ConfigError):
        return Problem(Kind.BAD_REQUEST, str(error))
    if isinstance(error, RetriableError):
        return Problem(Kind.UNAVAILABLE, f"{error}; try again", {"Retry-After": "5"})
    return Problem(Kind.UNEXPECTED, str(error))
