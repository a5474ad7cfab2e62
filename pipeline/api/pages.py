"""The pages of a release over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import PurePosixPath

from fastapi import Response

from ingest.text import printable
from pipeline.api.problems import Kind, Problem
from pipeline.api.snapshots import Snapshot
from pipeline.portal.keys import CURRENT, FOLDER
from pipeline.portal.script import read_data_file

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}){0,3}")
CONTENT = ("app/", "data/")
"""Folders of files that are named by their content."""
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
    is_kept = path.startswith(CONTENT)
    headers = {
        "ETag": tag,
        "Cache-Control": "private, max-age=31536000, immutable" if is_kept else "private, no-cache",
        "Vary": "Authorization",
        **_release(snapshot, path, data),
    }
    if known and tag in [item.strip().removeprefix("W/") for item in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)


def _release(snapshot: Snapshot, path: str, data: bytes) -> dict[str, str]:
    """The headers about the release that a file is of: the pages of a new one are written after it is published.

    Files that are named by their content, and the index, are of no release.
    """
    if path != PurePosixPath(CURRENT).name and not path.startswith("releases/"):
        return {}
    try:
        found = read_data_file(data)
        number, published_at = int(found["number"]), str(found["published_at"])
    except (ValueError, TypeError, KeyError):  # cut short by a full disk: the next cycle writes it again
        return {}
    if number == snapshot.release.number:
        return snapshot.headers
    return {"Lake-Release": str(number), "Lake-Published-At": printable(published_at)}


def _absent() -> Problem:
    return Problem(
        Kind.NOT_FOUND, "the release has no such page; pages need the extra `portal` and are written by the next cycle"
    )
