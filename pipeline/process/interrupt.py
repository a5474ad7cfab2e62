"""SIGTERM and Ctrl-C: the command shuts down cleanly and soon, whichever library is running."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_SECONDS = 5.0
"""Time for a clean shutdown; after it the process is ended. Nothing half done is visible either way."""
_received: list[str] = []
_code = 1


def received_signal() -> str:
    """The name of the signal that requested this command to end; empty if none did."""
    return _received[0] if _received else ""


def raise_if_interrupted(error: BaseException | None = None) -> None:
    """End the command if a signal requested it: libraries turn the interrupt into errors of their own.

    Raises:
        KeyboardInterrupt: a signal was received.
    """
    if _received:
        raise KeyboardInterrupt from error


@contextmanager
def interruptible(code: int = 1) -> Iterator[None]:
    """Make SIGTERM and Ctrl-C raise KeyboardInterrupt in the body; a second signal ends the process at once.

    Args:
        code: exit code if the process has to be ended.
    """
    global _code
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, _on_signal) for number in handled}
    outer, _code = _code, code
    try:
        yield
    finally:
        _code = outer
        for number, handler in previous.items():
            signal.signal(number, handler)
        if signal.getsignal(signal.SIGTERM) is not _on_signal:
            _received.clear()


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Set an event on SIGTERM and Ctrl-C, so that the body ends where it can; a second signal ends it as usual."""
    stop = threading.Event()
    previous: dict[signal.Signals, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        for other, handler in previous.items():
            signal.signal(other, handler)

    for one in (signal.SIGTERM, signal.SIGINT):
        previous[one] = signal.signal(one, on_signal)
    try:
        yield stop
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _on_signal(number: int, _: FrameType | None) -> None:
    if _received:
        os._exit(_code)
    _received.append(signal.Signals(number).name)
    watchdog = threading.Timer(GRACE_SECONDS, _end, (received_signal(), _code))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt


def _end(name: str, code: int) -> None:
    sys.stderr.write(f"ended {GRACE_SECONDS:.0f} seconds after {name}: nothing half done is visible, run it again\n")
    sys.stderr.flush()
    os._exit(code)
