"""Clicks and orders of the shop as messages, and a process of live numbers over them, for tests."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import PROJECT, settings
from pipeline.lake import Lake
from pipeline.live.business import microseconds
from pipeline.live.decode import CLICKS, ORDERS, Message
from pipeline.live.process import Process
from pipeline.live.rules import Rules
from pipeline.live.source import Memory

PARTITIONS = ("kafka:clicks/0", "kafka:orders/0")
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def click(number: int, at: dt.datetime, visitor: int = 0, kind: str = "view", **fields: Any) -> dict[str, Any]:
    """A click as the page sends it."""
    return {
        "event_id": f"e{number}",
        "visitor_id": f"v{visitor}",
        "event_type": kind,
        "product_id": 7,
        "device": "mobile",
        "country_code": "DE",
        "user_agent": AGENT,
        "occurred_at": at.isoformat(),
    } | fields


def order(number: int, at: dt.datetime, total: str, version: int = 1, op: str = "c", **fields: Any) -> dict[str, Any]:
    """A change of an order as the connector sends it: 19 % of tax, 5 of shipping."""
    micros = microseconds(at)
    row = {
        "order_id": number,
        "customer_id": 1,
        "status": "pending",
        "currency": "EUR",
        "discount_amount": "0.00",
        "shipping_amount": "5.00",
        "tax_amount": "19.00",
        "total_amount": total,
        "ordered_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updated_at": micros,
    } | fields
    source = {"connector": "postgresql", "ts_ms": micros // 1000, "lsn": 1000 + version, "snapshot": "false"}
    return {"op": op, "before": row if op == "d" else None, "after": None if op == "d" else row, "source": source}


class Shop:
    """A process of live numbers that reads what a test gives it.

    Attributes:
        source: of its messages.
        now: what its clock shows.
    """

    def __init__(self, now: dt.datetime | None = None, lateness: float = 10.0) -> None:
        self.lake = Lake(settings())
        self.source = Memory(PARTITIONS)
        self.fixed = now
        self.process = Process(self.lake, Rules.of(PROJECT), lateness, self.now)
        self._offsets = dict.fromkeys(PARTITIONS, 0)
        self.error: BaseException | None = None

    def now(self) -> dt.datetime:
        return self.fixed or dt.datetime.now(dt.UTC)

    def send(self, value: dict[str, Any], written: dt.datetime | None = None) -> None:
        """Write a message, by default when it happened."""
        is_click = "event_id" in value
        feed, source = (CLICKS, PARTITIONS[0]) if is_click else (ORDERS, PARTITIONS[1])
        happened = value["occurred_at"] if is_click else (value["after"] or value["before"])["ordered_at"]
        at = microseconds(written or dt.datetime.fromisoformat(happened))
        self.source.put(Message(feed, source, self._offsets[source], json.dumps(value).encode(), at))
        self._offsets[source] += 1

    def end(self, at: dt.datetime) -> None:
        """Say that nothing more comes up to a moment."""
        self.source.end(microseconds(at))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the process while the body runs."""

        def run() -> None:
            try:
                self.process.run(lambda _: self.source)
            except BaseException as error:
                self.error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.process.stop()
            thread.join(10)
        if self.error:
            raise self.error

    def state(self) -> dict[str, Any]:
        """The newest state."""
        return dict(json.loads(self.process.hub.newest()))

    def wait(self, until: Callable[[dict[str, Any]], Any], seconds: float = 20) -> dict[str, Any]:
        """Wait for a state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.state()
            if state and until(state):
                return state
            if self.error:
                raise self.error
            time.sleep(0.02)
        shown = {name: value for name, value in self.state().items() if not isinstance(value, list)}
        raise TimeoutError(f"the state stayed {shown}")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lake of its own."""
    (tmp_path / "dotenv").touch()
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SQLMESH_DOTENV_PATH", str(tmp_path / "dotenv"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()
