"""What a check found: one object, whether it is as it should be, and what to do if it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding counts: a warning is no failure, and needs a look."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        check: name of the check: `settings`, `rights`, …
        object: what was looked at: a variable, an address, a feed, a package.
        found: what was found there.
        expected: what should be there; empty if it is.
        next_step: what to do; empty if there is nothing to do.
    """

    check: str
    status: Status
    object: str
    found: str
    expected: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes the findings of one check.

    Attributes:
        check: its name.
    """

    check: str

    def ok(self, about: str, found: str) -> Finding:
        """A finding that is as it should be."""
        return Finding(self.check, Status.OK, about, found)

    def warn(self, about: str, found: str, expected: str, next_step: str) -> Finding:
        """A finding that needs a look."""
        return Finding(self.check, Status.WARN, about, found, expected, next_step)

    def fail(self, about: str, found: str, expected: str, next_step: str) -> Finding:
        """A finding that keeps the lake from working, or exposes it."""
        return Finding(self.check, Status.FAIL, about, found, expected, next_step)
