"""Sends events of OpenLineage beside a cycle: a receiver that is slow or away neither fails nor delays it for long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ingest.errors import ConfigError, describe
from pipeline.alerting.alert import shortened
from pipeline.process.redact import redact

LAST_SECONDS = 10.0
"""How long a cycle waits at its end until its events are sent."""
_END = object()
Make = Callable[[], Any]
"""Makes an event or a list of them; called in the thread that sends, which imports the client."""


class Sender:
    """A thread that sends events in order, by the settings of OpenLineage's own client.

    After the first failure nothing more is sent: the client has tried again by then, and the next cycle does.

    Raises:
        ConfigError: the client is not installed.
    """

    def __init__(self) -> None:
        if not _has_client():
            raise ConfigError(
                "OPENLINEAGE_… is set, but its client is not installed: install the extra `openlineage`, as with "
                "`pip install 'lakemesh[openlineage]'` or `make setup-openlineage`"
            )
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._fault = ""
        self._is_over = threading.Event()
        # a daemon: a receiver that does not answer must not keep the process from ending
        self._thread = threading.Thread(target=self._work, name="openlineage", daemon=True)
        self._thread.start()

    def send(self, make: Make) -> None:
        """Send what a function makes, after all before; returns at once."""
        self._waiting.put(make)

    def close(self, seconds: float = LAST_SECONDS) -> str:
        """Wait until everything is sent, not longer than some seconds.

        Returns:
            Why events were not sent; empty if all were.
        """
        self._waiting.put(_END)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._is_over.set()
            return f"events were not sent within {seconds:g} s after the cycle; the receiver is slow or away"
        return self._fault

    def _work(self) -> None:
        try:
            client = import_module("openlineage.client").OpenLineageClient()  # takes half a second
            while (make := self._waiting.get()) is not _END and not self._is_over.is_set():
                made = make()
                for event in made if isinstance(made, list) else [made]:
                    if self._is_over.is_set():
                        return
                    client.emit(event)
            client.close(timeout=LAST_SECONDS)
        except Exception as error:  # the client's transports may raise anything; the cycle goes on
            self._fault = f"events were not sent: {shortened(redact(describe(error)), 300)}"


def _has_client() -> bool:
    try:
        return find_spec("openlineage.client") is not None
    except ModuleNotFoundError:
        return False
