"""One release with pages for all tests that read, and a browser to read them."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import settings
from pipeline.portal.facts import Facts
from pipeline.portal.publication import FOLDER, Sources, refresh
from pipeline.releases.release import Releases
from tests.portal_release import LAST, make_release, project, releases

FEEDS = [
    {"feed": "events", "newest_at": "2026-10-31T23:00:00+00:00", "limit_seconds": 3600, "waiting": 3},
    {"feed": "<b>users</b>", "newest_at": None, "limit_seconds": None, "waiting": 0},
]


@dataclass(frozen=True)
class Site:
    """A release with its pages."""

    published: Releases
    sources: Sources

    @property
    def folder(self) -> Path:
        assert self.published.store.root
        return self.published.store.root / FOLDER


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Release 1 with its pages; read-only."""
    pytest.importorskip("vl_convert", reason="Chromium: vl-convert-python is not installed, the extra `portal`")
    folder = tmp_path_factory.mktemp("portal")
    (folder / "dotenv").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(folder / "home"))
        patch.setenv("SQLMESH_DOTENV_PATH", str(folder / "dotenv"))
        settings.cache_clear()
        published, sources = releases(), project(folder)
        make_release(published, 1)
        refresh(published, sources, Facts(LAST, FEEDS, [{"table": "gold.plays_daily", "dates": ["2026-10-31"]}]))
    settings.cache_clear()
    return Site(published, sources)


@pytest.fixture
def own_site(site: Site, tmp_path: Path) -> Site:
    """A copy of that release and its pages that a test may change."""
    assert site.published.store.root
    root = tmp_path / "home" / "published"
    shutil.copytree(site.published.store.root, root)
    options = site.published.options.model_copy(
        update={"lake_home": str(tmp_path / "home"), "published_uri": str(root)}
    )
    return Site(Releases(options), site.sources)


@pytest.fixture(scope="session")
def address(site: Site) -> Iterator[str]:
    """The pages over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site.folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
