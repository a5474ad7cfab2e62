"""All checks at once: each in a thread of its own, so that none stops or outlasts the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.doctor import clocks, connections, disk, environment, formats, rights, state, versions
from pipeline.doctor.finding import Finding, Reporter, Status
from pipeline.lake import Lake
from pipeline.process.contain import as_lakemesh_error, contained
from pipeline.process.redact import redact

Check: TypeAlias = Callable[[Lake], Iterable[Finding]]
CHECKS: dict[str, Check] = {
    "settings": environment.check,
    "connections": connections.check,
    "rights": rights.check,
    "clocks": clocks.check,
    "state": state.check,
    "versions": versions.check,
    "disk": disk.check,
    "formats": formats.check,
}
SECONDS = 30.0
"""How long one check may take."""
_LATE_STEP = "run `lake doctor` again; if it persists, that address does not answer and does not refuse either"


def examine(options: Settings, checks: dict[str, Check] | None = None, seconds: float = SECONDS) -> list[Finding]:
    """Run all checks side by side and return their findings, without secrets, in the order of the checks.

    Nothing is changed but probe objects, which are removed.

    Args:
        checks: by name; CHECKS by default.
        seconds: how long each may take; what it found until then counts.
    """
    running = [_Running(name, check, options) for name, check in (checks or CHECKS).items()]
    deadline = time.monotonic() + seconds
    return [_shown(finding) for item in running for finding in item.findings(deadline, seconds)]


def unreadable(error: ConfigError) -> list[Finding]:
    """The findings when the settings cannot be read: why, and what can be checked without them."""
    report = Reporter("settings")
    first = report.fail("settings", str(error), "values that can be read", "fix that setting; no other check ran")
    return [_shown(finding) for finding in (first, *environment.unknown(report))]


def is_failed(findings: Iterable[Finding]) -> bool:
    """Whether any finding is a failure."""
    return any(finding.status is Status.FAIL for finding in findings)


def _shown(finding: Finding) -> Finding:
    """A finding without secrets."""
    return replace(
        finding,
        object=redact(finding.object),
        found=redact(finding.found),
        expected=redact(finding.expected),
        next_step=redact(finding.next_step),
    )


class _Running:
    """One check in its thread, which ends with the process even if the check never does."""

    def __init__(self, name: str, check: Check, options: Settings) -> None:
        self._report, self._check, self._options = Reporter(name), check, options
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._work, name=f"doctor-{name}", daemon=True)
        self._thread.start()

    def findings(self, deadline: float, seconds: float) -> Sequence[Finding]:
        """What it found up to a deadline."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            name = self._report.check
            found.append(self._report.fail(name, f"no end after {seconds:g} s", "an answer by then", _LATE_STEP))
        return found

    def _work(self) -> None:
        name = self._report.check
        with contained(name, lambda error: self._found.append(stopped(self._report, name, error))):
            for finding in self._check(Lake(self._options)):  # a handle of its own: they are not made for threads
                self._found.append(finding)


def stopped(report: Reporter, about: str, error: Exception) -> Finding:
    """The finding for an error that stopped a check."""
    text = str(as_lakemesh_error(about, error))
    return report.fail(about, text, "a check that ends", "fix what the message names, and run `lake doctor` again")
