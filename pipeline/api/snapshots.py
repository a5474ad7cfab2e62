"""The release that readers of a role get now, followed as it moves."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.access.roles import load_roles
from pipeline.api.problems import Kind, Problem
from pipeline.api.session import settings_for, visible
from pipeline.metrics.definition import Metric, load_metrics
from pipeline.portal.catalog.document import from_json
from pipeline.portal.catalog.entries import Catalog
from pipeline.portal.keys import FOLDER
from pipeline.releases.release import CURRENT, Release, Releases, manifest_key

POLL_SECONDS = 1.0
"""For how long a request may get the release that was current before."""
KEPT = 16


@dataclass(frozen=True)
class Snapshot:
    """One release, as one request sees it.

    Attributes:
        role: whose release it is; empty for the release of everything.
        digest: changes when a release with that number is written again, or a metric is defined otherwise.
        withheld: whether newer releases are withheld from readers, after a rollback.
        definitions: metrics whose tables the release has.
    """

    role: str
    releases: Releases
    release: Release
    digest: str
    withheld: bool
    definitions: dict[str, Metric]

    @cached_property
    def headers(self) -> dict[str, str]:
        """What every answer says about the release."""
        positions = sorted(self.release.positions.items())
        return {
            "Lake-Release": str(self.release.number),
            "Lake-Published-At": self.release.published_at.isoformat(timespec="seconds"),
            "Lake-Positions": ", ".join(f"{feed}={position}" for feed, position in positions),
        }

    def etag(self, *about: str) -> str:
        """The entity tag of an answer: of a URL and format, it changes with the release alone."""
        return f'"{self.release.number}-{self.digest}-{"-".join(about)}"'

    @cached_property
    def catalog(self) -> Catalog | None:
        """The stored catalog of the release; roles have none, and neither has a release whose pages are not written."""
        if self.role:
            return None
        key = f"{FOLDER}/catalog/{self.release.number}.json"
        try:
            return from_json(self.releases.store.get(key), key)
        except (FileNotFoundError, ConfigError):
            return None


class Snapshots:
    """The current releases by role.

    Args:
        project: folder with roles and metrics.
    """

    def __init__(self, options: Settings, project: Path) -> None:
        self._options, self._project = options, project
        self._current: dict[str, tuple[float, Any, Snapshot]] = {}
        self._others: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()
        self._lock = asyncio.Lock()

    async def current(self, role: str) -> Snapshot:
        """The release that readers of a role get.

        Raises:
            Problem: there is none, or no such role.
        """
        found = self._current.get(role)
        if found and time.monotonic() - found[0] < POLL_SECONDS:
            return found[2]
        async with self._lock:
            found = self._current.get(role)
            if found and time.monotonic() - found[0] < POLL_SECONDS:
                return found[2]
            return await asyncio.to_thread(self._refresh, role)

    async def numbered(self, role: str, number: int) -> Snapshot:
        """A release of a role that readers got before, for the pages that follow a first one.

        Raises:
            Problem: it is no longer kept.
        """
        current = await self.current(role)
        if current.release.number == number:
            return current
        return await asyncio.to_thread(self._numbered, current, number)

    def forget(self, role: str) -> None:
        """Look again at the next request, since a file of the release was gone."""
        self._current.pop(role, None)

    def _refresh(self, role: str) -> Snapshot:
        releases = self._releases(role)
        seen = releases.store.find(CURRENT)
        pointer = releases.pointer()
        if seen is None or not pointer:
            self._current.pop(role, None)
            raise Problem(Kind.NOTHING, "nothing is published yet: `lake run` or `lake publish`", {"Retry-After": "30"})
        mark = (seen.etag, seen.modified_at, self._definitions())
        found = self._current.get(role)
        if found and found[1] == mark:
            self._current[role] = (time.monotonic(), mark, found[2])
            return found[2]
        snapshot = self._read(releases, role, int(pointer["state"]), bool(pointer.get("held")))
        self._current[role] = (time.monotonic(), mark, snapshot)
        return snapshot

    def _numbered(self, current: Snapshot, number: int) -> Snapshot:
        key = (current.role, number)
        gone = f"release {number}, to which the cursor belongs, is no longer kept; start without cursor"
        if current.releases.store.find(manifest_key(number)) is None:
            raise Problem(Kind.GONE, gone)
        if key not in self._others:
            try:
                found = self._read(current.releases, current.role, number, current.withheld)
            except ConfigError:
                raise Problem(Kind.GONE, gone) from None
            while len(self._others) >= KEPT:
                self._others.popitem(last=False)
            self._others[key] = found
        return self._others[key]

    def _read(self, releases: Releases, role: str, number: int, withheld: bool) -> Snapshot:
        release = releases.get(number)
        definitions = visible(load_metrics(self._project / "metrics"), release)
        manifest = releases.store.get(manifest_key(number))
        digest = hashlib.sha256(manifest + role.encode() + self._definitions().encode()).hexdigest()[:12]
        return Snapshot(role, releases, release, digest, withheld, definitions)

    def _definitions(self) -> str:
        paths = sorted((self._project / "metrics").glob("*.yaml"))
        return repr([(path.name, (found := path.stat()).st_mtime_ns, found.st_size) for path in paths])

    def _releases(self, role: str) -> Releases:
        if role and role not in {item.name for item in load_roles(self._project)}:
            raise Problem(Kind.FORBIDDEN, f"there is no role '{role}'; ask who runs this server for another key")
        return Releases(settings_for(self._options, role))
