"""Alerts of a cycle: its own failures, and contract violations of all feeds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest.contracts.contract import Contract, contracts
from pipeline.alerting.alert import Channel
from pipeline.alerting.report import report
from pipeline.alerting.violations import contract_violations
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake


class Alerts:
    """What a cycle reports to whom.

    Attributes:
        channels: those of the settings, set up before anything can fail; the cycle adds those of SQLMesh.
    """

    def __init__(self, lake: Lake, summary: RunSummary, now: Callable[[], dt.datetime]) -> None:
        self.channels: list[Channel] = lake.alerts
        self._lake, self._summary, self._now = lake, summary, now
        self._violations: tuple[dict[str, str], set[str]] | None = None

    def violations(self) -> tuple[dict[str, str], set[str]]:
        """Contract violations of all feeds by name of the alert, and the alerts whose state is unknown."""
        if self._violations is None:
            self._violations = _violations(self._lake, self._summary, self._now())
        return self._violations


@contextmanager
def alerting(lake: Lake, summary: RunSummary, now: Callable[[], dt.datetime]) -> Iterator[Alerts]:
    """Report failures of the cycle and contract violations after the body.

    Nothing is reported if the body raises.
    """
    alerts, options = Alerts(lake, summary, now), lake.options
    yield alerts
    own = [error for error in summary.errors if error != summary.unserved]
    problems: dict[str, str] = {}
    if own or (summary.exit_code and not summary.unserved):
        problems["cycle"] = "\n".join(own)
    if summary.unserved:
        problems["serving"] = summary.unserved
    summary.broken_promises, unseen = alerts.violations()
    if options.serving_dsn and "serve" not in summary.seconds:
        unseen.add("serving")
    if options.smtp_host and not any(target.name == "mail" for target in alerts.channels):
        summary.warnings.append("SMTP_HOST is set without SMTP_SENDER and SMTP_RECIPIENTS: no mail is sent")
    with summary.contained("alerts"):
        summary.warnings += report({**problems, **summary.broken_promises}, alerts.channels, options, now(), unseen)


def _violations(lake: Lake, summary: RunSummary, now: dt.datetime) -> tuple[dict[str, str], set[str]]:
    """Find the contract violations of all feeds, noting failed loads, and the alerts whose state is unknown."""
    found: dict[str, str] = {}
    unseen: set[str] = set()
    failed = summary.ingest.failed_feeds if summary.ingest else []
    # the lake cannot be reached, which the cycle reports
    is_out_of_reach = "ingest" in summary.seconds and summary.ingest is None
    known: list[Contract] = []
    with summary.contained("contracts"):
        known = list(contracts().values())
    for contract in known:
        late = f"freshness/{contract.feed}"
        names = {late, f"completeness/{contract.feed}"}
        if is_out_of_reach:
            unseen |= names
            continue
        with summary.contained(f"the contract of {contract.feed}") as judging:
            found |= contract_violations([contract], lake.landings, lake.store, lake.options.lake_start, now)
        if judging.error:
            unseen |= names
        if late in found and contract.feed in failed:
            found[late] += "; objects of it could not be loaded in this cycle, see the alert `cycle`"
    return found, unseen
