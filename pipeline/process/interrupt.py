"""SIGTERM and Ctrl-C: the command ends in order, whatever library it is in, and soon."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 5.0
"""How long a command may take to end in order; after that it is ended. Nothing half done is visible either way."""
_asked: list[str] = []
_code = 1


def asked() -> str:
    """The signal that asked this command to end; empty when none did."""
    return _asked[0] if _asked else ""


def must_go_on(error: BaseException | None = None) -> None:
    """Ends the command when it was asked to: libraries turn the interrupt into errors of their own.

    Raises:
        KeyboardInterrupt: it was.
    """
    if _asked:
        raise KeyboardInterrupt from error


@contextmanager
def interruptible(code: int = 1) -> Iterator[None]:
    """Lets SIGTERM and Ctrl-C raise KeyboardInterrupt in the body; a second one ends the process at once.

    Args:
        code: exit code of a process that has to be ended.
    """
    global _code
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _ask) for number in wanted}
    outer, _code = _code, code
    try:
        yield
    finally:
        _code = outer
        for number, handler in before.items():
            signal.signal(number, handler)
        if signal.getsignal(signal.SIGTERM) is not _ask:
            _asked.clear()


def _ask(number: int, _: FrameType | None) -> None:
    if _asked:
        os._exit(_code)
    _asked.append(signal.Signals(number).name)
    watchdog = threading.Timer(GRACE_SECONDS, _end, (asked(), _code))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt


def _end(name: str, code: int) -> None:
    sys.stderr.write(f"ended {GRACE_SECONDS:.0f} seconds after {name}: nothing half done is visible, run it again\n")
    sys.stderr.flush()
    os._exit(code)
