"""The process of live numbers: rebuilds the board, reads what comes, keeps what closes, and publishes the state."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.errors import LakemeshError
from pipeline.alerting.report import report
from pipeline.lake import Lake
from pipeline.live.board import Board, Closed, Restored, settings
from pipeline.live.business import BusinessDays
from pipeline.live.decode import Decoded, Decoder
from pipeline.live.event import Click
from pipeline.live.hub import Hub
from pipeline.live.overlay import Overlay, read_overlay
from pipeline.live.rebuild import Rebuild
from pipeline.live.rules import Rules
from pipeline.live.shown import ShownStore
from pipeline.live.snapshot import Snapshots, as_microseconds
from pipeline.live.source import Source
from pipeline.live.unusual import MEASURES, SPAN, Rate, Unusual

LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.05
PUBLISH_SECONDS = 0.1
"""The state is published at most so often."""
QUIET_SECONDS = 1.0
"""It is published so often though nothing came, since windows close."""
SIDE_SECONDS = 30.0
"""How often the release is looked at, and alerts are sent."""
ALERTS = "live-alerts.json"
"""The file below LAKE_HOME with what was reported; that of cycles is another one, since both run side by side."""


def utc_now() -> dt.datetime:
    """The current moment."""
    return dt.datetime.now(dt.UTC)


class Opens(Protocol):
    """Opens the source of records once it is known where it continues."""

    def __call__(self, rebuild: Rebuild) -> Source:
        """Open it."""


@dataclass(slots=True)
class _Side:
    """What a second thread hands over, so that nothing slow delays what is live."""

    overlay: Overlay


class Process:
    """Live numbers of a lake.

    Args:
        lateness_seconds: how long windows wait for late events.

    Raises:
        ConfigError: the project lacks a definition or a feed.
    """

    def __init__(
        self, lake: Lake, rules: Rules, lateness_seconds: float, now: Callable[[], dt.datetime] = utc_now
    ) -> None:
        self._lake, self._rules, self._now = lake, rules, now
        self._settings = settings(lateness_seconds, rules.timeout_minutes, rules.timezone)
        self.decoder = Decoder(rules)
        self._shown = ShownStore(lake.store, rules.digest(), now)
        self._unusual = Unusual()
        self._side = _Side(Overlay())
        self._stop = threading.Event()
        self.hub = Hub()
        self.board: Board

    def run(self, opened: Opens) -> None:
        """Show what is live until `stop` is called.

        Raises:
            ConfigError: another process shows the same lake, or a setting is wrong.
            RetriableError: broker or lake cannot be reached.
        """
        days = BusinessDays(self._rules.timezone)
        now = self._now()
        floor = days.start(days.of(as_microseconds(now)) - dt.timedelta(days=1))
        restored = self._shown.restore(now.date())
        rebuild = Rebuild(self._lake, self.decoder, floor)
        source = opened(rebuild)
        try:
            self._prepare(source, restored, floor)
            for item in rebuild.events():
                self._take(item)
            side = threading.Thread(target=self._aside, name="live-side", daemon=True)
            side.start()
            self._follow(source)
        finally:
            self._stop.set()
            source.close()
            self.hub.close()

    def microseconds(self) -> int:
        """The current moment."""
        return as_microseconds(self._now())

    def stop(self) -> None:
        """End after what is being read."""
        self._stop.set()

    def _prepare(self, source: Source, restored: Restored, floor: int) -> None:
        self.board = Board(self._settings, source.partitions, restored, floor)
        feeds = {feed for feed, contract in self.decoder.contracts.items() if contract.source.kafka is None}
        missing = [f"{feed} has no topic, so what is live lacks it" for feed in sorted(feeds)]
        self._snapshots = Snapshots(self.board, self._rules, missing)
        self._publish(is_ready=False)

    def _follow(self, source: Source) -> None:
        """Read, close and publish."""
        is_ready, published = False, 0.0
        ended: set[str] = set()
        known = set(source.partitions)
        while not self._stop.is_set():
            messages = source.poll(POLL_SECONDS)
            for item in self.decoder.decode(messages):
                self._take(item)
            if new := set(source.partitions) - known:
                known |= new
                for name in sorted(new):
                    self.board.add_source(name)
            for name, until in source.idle().items():
                ended.add(name)
                self.board.idle(name, until)
            is_ready = is_ready or ended >= known
            if is_ready and (closed := self.board.advance()):
                self._keep(closed)
            passed = time.monotonic() - published
            if passed >= (PUBLISH_SECONDS if messages else QUIET_SECONDS):
                self._publish(is_ready)
                published = time.monotonic()

    def _take(self, item: Decoded) -> None:
        board = self.board
        if isinstance(item.event, Click):
            board.add_click(item.event, item.place)
        elif item.event is not None:
            board.add_order(item.event, item.place)
        board.passed(item.place.source, item.place.offset, item.at)

    def _keep(self, closed: Closed) -> None:
        self._shown.keep(closed)
        usual = self._side.overlay.usual
        if usual is not None:
            counts = self.board.closed_minutes(closed.until - SPAN, closed.until)
            rates = {name: Rate(getattr(counts, name), usual.of(closed.until, name)) for name in MEASURES}
            self._unusual.judge(closed.until, rates)

    def _publish(self, is_ready: bool) -> None:
        now = self.microseconds()
        findings = self._unusual.findings()
        self.hub.publish(self._snapshots.make(now, self._side.overlay, findings, is_ready, self._settings.lateness))

    # ---- beside what is live -------------------------------------------------------------------------------------
    def _aside(self) -> None:
        """Look at the release, send alerts, and join the files of dates that are over."""
        joined = dt.date.min
        while True:
            now = self._now()
            self._side.overlay = read_overlay(self._lake.releases, now.date(), self._rules.timezone, self._side.overlay)
            self._alert(now)
            if now.date() > joined:
                try:
                    self._shown.join(now.date())
                    joined = now.date()
                except LakemeshError as error:
                    LOG.warning("event=not_joined because=%s", error)
            if self._stop.wait(SIDE_SECONDS):
                return

    def _alert(self, now: dt.datetime) -> None:
        problems = {f"live/{item.measure}": str(item) for item in self._unusual.findings()}
        try:
            failures: Sequence[str] = report(problems, self._lake.alerts, self._lake.options, now, file=ALERTS)
        except OSError as error:
            failures = [f"{ALERTS} cannot be written: {error}"]
        for failure in failures:
            LOG.warning("event=alert_failed because=%s", failure)
