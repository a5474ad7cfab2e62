"""The pages of a release over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import PurePosixPath

from fastapi import Response

from pipeline.api.problems import Kind, Problem
from pipeline.api.snapshots import Snapshot
from pipeline.portal.keys import FOLDER

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}){0,3}")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


async def page(snapshot: Snapshot, path: str, known: str | None) -> Response:
    """A file of the pages.

    Args:
        known: the header If-None-Match.

    Raises:
        Problem: there is none of that name.
    """
    kind = _TYPES.get(PurePosixPath(path).suffix)
    if kind is None or not _PATH.fullmatch(path):
        raise _absent()
    try:
        data = await asyncio.to_thread(snapshot.releases.store.get, f"{FOLDER}/{path}")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise _absent() from None
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    is_kept = path.startswith(("app/", "data/"))  # named by their content
    headers = {
        "ETag": tag,
        "Cache-Control": "private, max-age=31536000, immutable" if is_kept else "private, no-cache",
        "Vary": "Authorization",
        **snapshot.headers,
    }
    if known and tag in [item.strip().removeprefix("W/") for item in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)


def _absent() -> Problem:
    return Problem(
        Kind.NOT_FOUND, "the release has no such page; pages need the extra `portal` and are written by the next cycle"
    )
