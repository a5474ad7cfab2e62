"""A feed is late when its contract's freshness has expired, and not because it is new."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.ledger.first_seen import first_seen, seen_without_objects
from ingest.storage.store import Store
from tests.hostile.checkout import Checkout, bucket_of

NOW = dt.datetime(2026, 2, 4, 12, tzinfo=dt.UTC)


@pytest.fixture
def alerts() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a webhook, and the alerts it received."""
    found: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", found
        server.shutdown()
        thread.join()


def test_a_new_feed_is_late_once_its_freshness_has_expired(
    tmp_path: Path, alerts: tuple[str, list[dict[str, str]]]
) -> None:
    # GIVEN a new feed, one known for a day, one with a current object and one with an old object
    url, sent = alerts
    checkout = Checkout(tmp_path)
    checkout.environment["NOTIFY_WEBHOOK_URL"] = url
    for feed in ("brand_new", "overdue", "fresh", "stale"):
        checkout.agree(feed=feed, freshness_seconds=3600)
    for feed in ("fresh", "stale"):
        checkout.put("a.json", {}, feed=feed)
    os.utime(checkout.home / "landing" / bucket_of("stale") / "a.json", (1_790_000_000, 1_790_000_000))
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    lake = Store(str(checkout.home / "lake"))
    lake.put("ledger/_first_seen/overdue", yesterday.isoformat().encode())

    # WHEN a cycle runs, although there is no production to compute yet
    checkout.lake("run", code=None)

    # THEN
    late = {item["name"]: item["message"] for item in sent if item["name"].startswith("freshness/")}
    assert late.keys() == {"freshness/overdue", "freshness/stale"}
    assert (
        "overdue is late: none of its objects is loaded yet, and none waits, the contract promises 1.0"
        in (late["freshness/overdue"])
    )
    assert "stale is late: its newest object is" in late["freshness/stale"]
    assert seen_without_objects(lake, ["brand_new", "overdue", "fresh"], NOW).keys() == {"brand_new", "overdue"}
    assert lake.get("ledger/_first_seen/brand_new").decode() > yesterday.isoformat()


def test_first_seen_time_is_kept_and_an_unreadable_one_replaced(tmp_path: Path) -> None:
    lake, later = Store(str(tmp_path / "lake")), NOW + dt.timedelta(days=9)
    assert first_seen(lake, "clicks", NOW) == NOW
    assert first_seen(lake, "clicks", later) == NOW
    for damaged in (b"", b"\xff", b"soon", b"2026-02-04T12:00:00"):
        lake.put("ledger/_first_seen/clicks", damaged)
        assert first_seen(lake, "clicks", later) == later
        assert first_seen(lake, "clicks", later + dt.timedelta(days=1)) == later


def test_a_lake_that_cannot_be_written_makes_no_feed_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise ConfigError("read-only")

    monkeypatch.setattr(Store, "put_new", refuse)
    assert first_seen(Store(str(tmp_path / "lake")), "clicks", NOW) == NOW
