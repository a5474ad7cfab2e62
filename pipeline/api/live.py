"""Live numbers, passed through from where they are computed (LIVE_URL)."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from http.client import HTTPResponse
from urllib.parse import urlsplit

from fastapi import Response
from fastapi.responses import StreamingResponse

from ingest.errors import ConfigError
from pipeline.api.core import Core
from pipeline.api.keys import Caller
from pipeline.api.problems import Kind, Problem

SECONDS = 10.0
MOST_STREAMS = 20
"""Answers that are passed through at a time; an event stream is one until its client leaves."""
_PATH = re.compile(r"[A-Za-z0-9_.~-]*(/[A-Za-z0-9_.~-]+)*/?")
_open = 0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: it would lead elsewhere than LIVE_URL."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def check_address(address: str) -> None:
    """Refuse an address that is none of HTTP.

    Raises:
        ConfigError: it is not.
    """
    if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname):
        raise ConfigError(f"LIVE_URL: '{address}' is no address; expected for instance http://127.0.0.1:8010")


async def passed(core: Core, caller: Caller, path: str, query: str) -> Response:
    """The answer of LIVE_URL to a GET; no header of the client is sent on.

    Raises:
        Problem: there is none, or the caller has a role: live numbers are not masked.
    """
    address = core.options.live_url.rstrip("/")
    if not address:
        raise Problem(Kind.NOT_FOUND, "this server passes no live numbers through (LIVE_URL)")
    if caller.role:
        raise Problem(Kind.FORBIDDEN, "live numbers are neither masked nor filtered, so roles do not see them")
    if not _PATH.fullmatch(path) or ".." in path:
        raise Problem(Kind.NOT_FOUND, "there are no such live numbers")
    if _open >= MOST_STREAMS:
        raise Problem(Kind.BUSY, f"{MOST_STREAMS} live answers are open; close one", {"Retry-After": "5"})
    url = f"{address}/live/{path}" + (f"?{query}" if query else "")
    try:
        found: HTTPResponse = await asyncio.to_thread(_OPENER.open, url, None, SECONDS)
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise Problem(Kind.NOT_FOUND, f"the live numbers answer {error.code} to that request") from None
        raise Problem(Kind.UNAVAILABLE, f"the live numbers answer {error.code}; try again") from None
    except (OSError, ValueError):
        raise Problem(Kind.UNAVAILABLE, "the live numbers cannot be reached; try again", {"Retry-After": "5"}) from None
    kind = found.headers.get("Content-Type", "application/octet-stream")
    return StreamingResponse(_chunks(found), media_type=kind, headers={"Cache-Control": "no-store"})


async def _chunks(found: HTTPResponse) -> AsyncIterator[bytes]:
    global _open
    _open += 1
    try:
        while data := await asyncio.to_thread(found.read1, 1 << 16):
            yield data
    finally:
        _open -= 1
        found.close()
