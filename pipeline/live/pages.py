"""The pages that the server of live numbers shows: the portal of the current release, with the Live page in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ingest.errors import ConfigError, RetriableError
from pipeline.portal import assets
from pipeline.portal.keys import CURRENT, FOLDER
from pipeline.portal.script import data_file, read_data_file
from pipeline.portal.write import FORMAT
from pipeline.releases.release import Releases

HTML, STYLE, SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_NAME = re.compile(r"(app|data|releases)/[A-Za-z0-9][\w.-]*\.(js|css)")


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is served.

    Attributes:
        is_fixed: whether its content follows from its name.
    """

    kind: str
    content: bytes
    is_fixed: bool = False


class Pages:
    """Files of the portal by path, from the store of the releases and from this version's application."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._app = dict(assets.application().values())

    def get(self, path: str) -> Page | None:
        """A file; None if there is none.

        Args:
            path: without the leading slash.
        """
        if path in ("", "index.html"):
            return Page(HTML, assets.index(live=True))
        if path == "current.js":
            return Page(SCRIPT, data_file("release", self._current()))
        if not _NAME.fullmatch(path):
            return None
        kind = STYLE if path.endswith(".css") else SCRIPT
        if path in self._app:
            return Page(kind, self._app[path], is_fixed=True)
        content = self._stored(f"{FOLDER}/{path}")
        if content is None:
            return None
        if path.startswith("releases/"):
            return Page(kind, data_file("release", self._with_application(read_data_file(content))))
        return Page(kind, content, is_fixed=True)

    def _current(self) -> dict[str, Any]:
        """The small file of the current release; one without pages while there is none."""
        content = self._stored(CURRENT)
        small = read_data_file(content) if content else None
        if not isinstance(small, dict) or small.get("format") != FORMAT:
            small = {"format": FORMAT, "number": 0, "published_at": None, "audits": 0, "complete_to": None}
            small |= {"is_held": False, "feeds": [], "withheld": [], "pages": [], "files": {}, "app": {}}
        return self._with_application(small)

    def _with_application(self, small: dict[str, Any]) -> dict[str, Any]:
        """The small file of a release with the application of this version, which has the Live page."""
        own = {name: key for name, (key, _) in assets.application().items()}
        return small | {"app": small["app"] | own}

    def _stored(self, key: str) -> bytes | None:
        try:
            return self._releases.store.get(key)
        except (FileNotFoundError, ConfigError, RetriableError):  # nothing is released yet, or it cannot be reached
            return None
