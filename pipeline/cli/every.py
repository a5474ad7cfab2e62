"""`--every`: a command that runs again and again, as a process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

import click

from pipeline.process.heartbeat import beat
from pipeline.process.interrupt import interruptible

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LEAST_SECONDS = 3600.0


def interval(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Parse `500ms`, `30s`, `5m` or `1h` into seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
    if not found or not float(found[1]):
        raise click.BadParameter(f"'{value}' is no duration; expected a number with ms, s, m or h, for instance 5m")
    return float(found[1]) * _UNITS[found[2]]


def forever(loop: Callable[[], None]) -> int:
    """Run a loop until SIGTERM or Ctrl-C, and return the exit code of a command that ends so."""
    try:
        with interruptible(code=0):
            loop()
    except KeyboardInterrupt:
        click.echo("stopped: nothing half done is visible, the next start continues", err=True)
    return 0


def repeat(name: str, every: float, body: Callable[[int], object]) -> None:
    """Run a command at each multiple of an interval, one at a time, whatever becomes of it; never returns.

    `lake health` counts it as stuck when none has begun for three intervals, and an hour at least.

    Args:
        name: of the command.
        every: seconds.
        body: is given how often it ran before.
    """
    from ingest.settings import settings

    number = 0
    while True:
        with suppress(OSError):  # a full disk is what the command itself reports
            beat(settings(), name, max(3 * every, _LEAST_SECONDS))
        body(number)
        number += 1
        time.sleep(every - time.time() % every)
