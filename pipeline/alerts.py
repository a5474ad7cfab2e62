"""Who is told when something is wrong, once, and again when it is well: failed cycles, late and incomplete feeds.

What is wrong is remembered in a file beside the locks, so that it is told once a day at most, whatever else is broken.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.contract import Contract, Kind, contracts
from ingest.discover import discover
from ingest.errors import IngestError
from ingest.ledger import Ledger
from ingest.settings import Settings
from ingest.store import Store
from pipeline.completeness import TOLD_DAYS, judge
from pipeline.first_seen import first_seen

if TYPE_CHECKING:
    from sqlmesh.core.notification_target import BaseNotificationTarget

    from pipeline.summary import RunSummary

AGAIN = dt.timedelta(days=1)
"""What is still wrong after so long is told again."""
ANSWER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell.

    Attributes:
        name: what is wrong, the same as long as it is: `cycle`, `serving`, `freshness/<feed>` or
            `completeness/<feed>`.
        event: `problem` or `recovery`.
        message: for people.
        since: when it was told first.
        at: now.
    """

    name: str
    event: str
    message: str
    since: str
    at: str


Sender = Callable[[Alert], None]


def broken_promises(promised_by: Iterable[Contract], options: Settings, now: dt.datetime) -> dict[str, str]:
    """What feeds owe by their contracts, by the name of the alert: data as fresh as promised, days complete in time.

    Raises:
        ConfigError, RetriableError: lake or landing cannot be read.
    """
    lake, found = Store(options.lake_uri, options), {}
    for contract in promised_by:
        newest = Ledger(lake, contract.feed).live().newest_object_at
        promised = dt.timedelta(seconds=contract.freshness_seconds)
        if now - (newest or first_seen(lake, contract.feed, now)) > promised:
            told = f"its newest object is {_age(now - newest)} old" if newest else _unloaded(contract, options, lake)
            found[f"freshness/{contract.feed}"] = (
                f"{contract.feed} is late: {told}, the contract promises {_age(promised)}; ask {contract.owner}"
            )
        if contract.kind is Kind.EVENT and contract.completeness:
            days = (now.date() - dt.timedelta(days=number) for number in range(1, TOLD_DAYS + 1))
            verdict = judge(contract, [day for day in days if day >= options.lake_start], options)
            if warning := verdict.warning(contract):
                found[f"completeness/{contract.feed}"] = warning
    return found


def _unloaded(contract: Contract, options: Settings, lake: Store) -> str:
    """What there is of a feed of which nothing is loaded."""
    try:
        landing = Store(options.landing(contract.source.bucket), options)
        waiting = len(discover(contract, landing, Ledger(lake, contract.feed).state()))
    except IngestError:  # what is wrong with the landing, ingest reports
        return "no object of it is loaded yet, and its landing cannot be listed"
    words = {0: "none waits", 1: "one waits"}.get(waiting, f"{waiting:,} wait")
    return f"no object of it is loaded yet, and {words}"


@contextmanager
def alerting(options: Settings, summary: RunSummary, now: Callable[[], dt.datetime]) -> Iterator[list[Sender]]:
    """Tells after the body how a cycle ended and which contracts are broken; the body may add to whom."""
    targets = [webhook(options.notify_webhook_url)] if options.notify_webhook_url else []
    problems: dict[str, str] = {}
    try:
        yield targets
        own = [error for error in summary.errors if error != summary.unserved]
        if own or (summary.exit_code and not summary.unserved):
            problems["cycle"] = "\n".join(own)
        if summary.unserved:
            problems["serving"] = summary.unserved
    except IngestError as error:
        problems["cycle"] = str(error)
        raise
    finally:
        with suppress(IngestError):  # what is out of reach has stopped the cycle, and is told as that
            summary.broken_promises = broken_promises(contracts().values(), options, now())
        summary.warnings += tell({**problems, **summary.broken_promises}, targets, options, now())


def tell(problems: Mapping[str, str], senders: Iterable[Sender], options: Settings, now: dt.datetime) -> list[str]:
    """Tells what became wrong or well since the last time.

    What could not be told is told the next time.

    Returns:
        What went wrong with telling, one line each.
    """
    targets = list(senders)
    if not targets:
        return []
    path = Path(options.lake_home) / "alerts.json"
    known = _read(path)
    told = dict(known)
    failures: list[str] = []
    for name in sorted(problems.keys() | known.keys()):
        before = known.get(name)
        since = before["since"] if before else now.isoformat()
        if name not in problems:
            alert = Alert(name, "recovery", f"{name} is well again", since, now.isoformat())
        elif before and now - dt.datetime.fromisoformat(before["told"]) < AGAIN:
            continue
        else:
            alert = Alert(name, "problem", problems[name], since, now.isoformat())
        if faults := _send(alert, targets):
            failures += faults
        elif alert.event == "recovery":
            del told[name]
        else:
            told[name] = {"since": since, "told": now.isoformat()}
    if told != known:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(told, indent=2), encoding="utf-8")
        draft.replace(path)
    return failures


def webhook(url: str) -> Sender:
    """Posts each alert as a JSON object; an answer other than 2xx is a failure."""

    def send(alert: Alert) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        with requests.Session() as session:
            again = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            session.post(url, json={"project": "lakemesh"} | asdict(alert), timeout=ANSWER_SECONDS).raise_for_status()

    return send


def sqlmesh_target(target: BaseNotificationTarget) -> Sender:
    """Sends by one of SQLMesh's own notification targets: Slack, e-mail."""

    def send(alert: Alert) -> None:
        from sqlmesh.core.notification_target import NotificationStatus

        status = NotificationStatus.FAILURE if alert.event == "problem" else NotificationStatus.SUCCESS
        target.send(notification_status=status, msg=f"Lakemesh {alert.event}: {alert.message}")

    return send


def _send(alert: Alert, senders: Iterable[Sender]) -> list[str]:
    faults = []
    for send in senders:
        try:
            send(alert)
        except Exception as error:  # a library of the target's own: whatever it is, the cycle goes on
            faults.append(f"{alert.name} could not be told: {' '.join(str(error).split())[:300]}")
    return faults


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # nothing was told yet, or nobody knows any more: it is told again
        return {}
    return found if isinstance(found, dict) else {}


def _age(time: dt.timedelta) -> str:
    """
    >>> _age(dt.timedelta(minutes=90)), _age(dt.timedelta(days=3, hours=1))
    ('1.5 hours', '3.0 days')
    """
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
