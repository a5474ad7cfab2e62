"""What stands before every request: its host, its caller, how often that one calls, and the size of its body."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ingest.errors import LakemeshError, log_traceback
from pipeline.api.core import Core
from pipeline.api.formats import as_json
from pipeline.api.keys import Caller
from pipeline.api.problems import MEDIA_TYPE, Kind, Problem, problem_of

LOG = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PUBLIC = frozenset({"/healthz", "/readyz"})
"""Paths that need no key and count for nobody: what watches a process has none."""
_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Answers what must not reach the application, and adds headers to what it answers.

    Without keys the server is for this machine alone. A page in a browser here could reach it under a name of its own
    (DNS rebinding), so then only names of this machine are answered.
    """

    def __init__(self, app: App, core: Core) -> None:
        self._app, self._core = app, core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._app(scope, receive, send) if scope["type"] == "lifespan" else _refuse_socket(receive, send))
            return
        is_started, status, began = False, Kind.LEFT.status, time.monotonic()

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal is_started, status
            if message["type"] == "http.response.start":
                is_started, status = True, message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            if scope["path"] not in PUBLIC:
                scope.setdefault("state", {})["caller"] = self._admit(scope, headers)
            await self._app(scope, _limited(receive, headers, self._core.limits.body), answer)
        except LakemeshError as error:
            if not is_started:
                await send_problem(answer, problem_of(error))
        except Exception as error:
            log_traceback(f"{scope['method']} {scope['path']!a}", error)
            if not is_started:
                await send_problem(answer, Problem(Kind.UNEXPECTED, "a defect; the server's log has its traceback"))
        finally:
            self._core.measures.note(scope.get("route"), status, time.monotonic() - began)

    def _admit(self, scope: Scope, headers: dict[bytes, str]) -> Caller:
        names = [value for name, value in scope["headers"] if name == b"host"]
        if self._core.keys.is_open and (len(names) != 1 or not _LOCAL_HOST.fullmatch(headers[b"host"])):
            raise Problem(Kind.HOST, "without keys only 127.0.0.1 and localhost are answered; configure LAKE_API_KEYS")
        if sum(name == b"authorization" for name, _ in scope["headers"]) > 1:
            raise Problem(Kind.BAD_REQUEST, "the header Authorization is sent twice; send it once")
        try:
            caller = self._core.keys.caller(headers.get(b"authorization"))
        except Problem as problem:
            if problem.kind is Kind.UNAUTHENTICATED and scope["path"].startswith(("/portal", "/live")):
                problem.headers["WWW-Authenticate"] = 'Basic realm="lakemesh"'  # what makes browsers ask
            raise
        self._core.rates.take(caller.name)
        return caller


def _limited(receive: Receive, headers: dict[bytes, str], most: int) -> Receive:
    """Read a body of at most so many bytes."""
    length = headers.get(b"content-length", "0")
    if not length.isdigit() or int(length) > most:
        raise Problem(Kind.BODY, f"more than {most:,} bytes; send less")
    size = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise Problem(Kind.BODY, f"more than {most:,} bytes; send less")
        return message

    return limited


async def send_problem(send: Send, problem: Problem) -> None:
    """Answer with a problem document."""
    body = as_json(problem.document())
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "cache-control": "no-store"}
    headers |= problem.headers
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.kind.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _refuse_socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})
