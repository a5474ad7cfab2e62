"""Clocks: a difference is a warning from seconds on, and a failure beyond what contracts allow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import settings
from pipeline.doctor import clocks
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake
from tests.home import Home, PostgresHome, free_port

LIMIT = min(contract.clock_skew_seconds for contract in contracts().values())


def checked(behind: float = 0.0) -> list[Finding]:
    """What the check says on a host whose clock is behind."""
    return list(clocks.check(Lake(settings()), lambda: time.time() - behind))


@pytest.mark.parametrize(
    ("behind", "status"),
    [(0, "ok"), (4, "ok"), (7, "warn"), (-7, "warn"), (LIMIT - 5, "warn"), (LIMIT + 5, "fail"), (-LIMIT - 5, "fail")],
)
def test_clock_of_a_file_system(home: Home, behind: float, status: str) -> None:
    (home.options_home / "lake").mkdir(parents=True)

    (found,) = checked(behind)

    assert found.status == status
    assert list((home.options_home / "lake").iterdir()) == [], "the probe is removed"


def test_clock_of_a_store_is_read_without_any_right(s3_lake: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong" * 8)
    settings.cache_clear()
    assert [item.status for item in checked()] == [Status.OK]
    assert [item.status for item in checked(-60)] == [Status.WARN]


@contextmanager
def answering(date: str | None) -> Iterator[str]:
    """A store that refuses everything at some date."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(403)
            if date:
                self.send_header("Date", date)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_store_whose_clock_is_wrong_or_unknown(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(date: str | None) -> Finding:
        with answering(date) as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            monkeypatch.setenv("LAKE_URI", "s3://lake")
            settings.cache_clear()
            (found,) = checked()
        return found

    hour, week = at(formatdate(time.time() - 3600, usegmt=True)), at(formatdate(time.time() + 7 * 86400, usegmt=True))

    assert (hour.status, hour.found.endswith("s behind this host")) == (Status.WARN, True)
    assert (week.status, week.found.endswith("s ahead of this host")) == (Status.FAIL, True)
    assert "no answer with a Date header" in at(None).found
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    settings.cache_clear()
    assert [item.status for item in checked()] == [Status.WARN]


def test_clock_of_postgres(postgres_home: PostgresHome) -> None:
    (found,) = checked()
    assert found.status is Status.OK
    assert [item.status for item in checked(60)] == [Status.WARN]
