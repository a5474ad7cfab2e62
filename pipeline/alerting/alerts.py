"""Who is told when something is wrong, once, and again when it is well: failed cycles, late and incomplete feeds.

What is wrong is remembered in a file beside the locks, so that it is told once a day at most, whatever else is broken.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.contracts.contract import Contract, Kind, contracts
from ingest.errors import IngestError, described
from ingest.ledger.first_seen import first_seen
from ingest.ledger.ledger import Ledger
from ingest.settings import Settings
from ingest.steps.discover import discover
from ingest.storage.folders import make_folder
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.invalidation.completeness import TOLD_DAYS, judge
from pipeline.process.redact import redact

if TYPE_CHECKING:
    from sqlmesh.core.notification_target import BaseNotificationTarget

    from pipeline.cycle.summary import RunSummary

AGAIN = dt.timedelta(days=1)
"""What is still wrong after so long is told again."""
ANSWER_SECONDS = 10
SLACK_CHARACTERS = 2900
"""Slack refuses a block of more than 3,000."""


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


@dataclass(frozen=True, slots=True)
class _Reported:
    """What was reported of one alert.

    Attributes:
        since: when it was reported first, ISO 8601 with offset.
        told: when last.
        event: of the last time.
        owed: channels that could not be reached then.
    """

    since: str
    told: str
    event: str = "problem"
    owed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for moment in (self.since, self.told):
            if dt.datetime.fromisoformat(moment).tzinfo is None:
                raise ValueError(f"'{moment}' has no offset")
        object.__setattr__(self, "owed", tuple(self.owed))


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to report alerts.

    Attributes:
        name: what messages and the memory of alerts call it, the same in each cycle.
        send: sends one alert, or raises whatever it likes.
    """

    name: str
    send: Callable[[Alert], None]


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
        landing = Landing(options.landing(contract.source.bucket), options)
        waiting = len(discover(contract, landing, Ledger(lake, contract.feed).state()))
    except IngestError:  # what is wrong with the landing, ingest reports
        return "no object of it is loaded yet, and its landing cannot be listed"
    words = {0: "none waits", 1: "one waits"}.get(waiting, f"{waiting:,} wait")
    return f"no object of it is loaded yet, and {words}"


@contextmanager
def alerting(options: Settings, summary: RunSummary, now: Callable[[], dt.datetime]) -> Iterator[list[Channel]]:
    """Reports after the body how a cycle ended and which contracts are broken; the body may add to whom.

    The channels of the settings are there before anything can fail. After a body that raises nothing is reported.
    """
    targets = channels(options)
    yield targets
    own = [error for error in summary.errors if error != summary.unserved]
    problems: dict[str, str] = {}
    if own or (summary.exit_code and not summary.unserved):
        problems["cycle"] = "\n".join(own)
    if summary.unserved:
        problems["serving"] = summary.unserved
    summary.broken_promises, unseen = _broken_promises(options, summary, now())
    if options.serving_dsn and "serve" not in summary.seconds:
        unseen.add("serving")
    if options.smtp_host and not any(target.name == "mail" for target in targets):
        summary.warnings.append("SMTP_HOST is set without SMTP_SENDER and SMTP_RECIPIENTS: nobody gets mail")
    with summary.contained("alerts"):
        summary.warnings += tell({**problems, **summary.broken_promises}, targets, options, now(), unseen)


def _broken_promises(options: Settings, summary: RunSummary, now: dt.datetime) -> tuple[dict[str, str], set[str]]:
    """The broken promises of all feeds, with what the cycle knows of the reason, and those that could not be seen."""
    found: dict[str, str] = {}
    unseen: set[str] = set()
    failed = summary.ingest.failed_feeds if summary.ingest else []
    is_out_of_reach = "ingest" in summary.seconds and summary.ingest is None  # the lake, which is reported
    known: list[Contract] = []
    with summary.contained("contracts"):
        known = list(contracts().values())
    for contract in known:
        late = f"freshness/{contract.feed}"
        names = {late, f"completeness/{contract.feed}"}
        if is_out_of_reach:
            unseen |= names
            continue
        with summary.contained(f"the promises of {contract.feed}") as judging:
            found |= broken_promises([contract], options, now)
        if judging.error:
            unseen |= names
        if late in found and contract.feed in failed:
            found[late] += "; objects of it could not be loaded in this cycle, see the alert `cycle`"
    return found, unseen


def tell(
    problems: Mapping[str, str],
    targets: Iterable[Channel],
    options: Settings,
    now: dt.datetime,
    unseen: Collection[str] = (),
) -> list[str]:
    """Reports what became wrong or well since the last time.

    What could not be sent by one channel is sent by that one the next time.

    Args:
        unseen: alerts of which nobody knows whether they are still true; nothing is reported of them.

    Returns:
        What went wrong with sending, one line each.
    """
    by_name = {target.name: target for target in targets}
    if not by_name:
        return []
    path = Path(options.lake_home) / "alerts.json"
    known = _read(path)
    told = dict(known)
    failures: list[str] = []
    silent: set[str] = set()
    for name in sorted((problems.keys() | known.keys()) - set(unseen)):
        event = "problem" if name in problems else "recovery"
        due, before = _due(known.get(name), event, now)
        alert = Alert(name, event, redact(problems.get(name, f"{name} is well again")), before.since, now.isoformat())
        owed = []
        for target in [item for item in by_name if due or item in before.owed]:
            # one that does not answer is waited for once in a cycle
            if target not in silent and (fault := _send(alert, by_name[target])):
                failures.append(fault)
                silent.add(target)
            if target in silent:
                owed.append(target)
        if event == "recovery" and not owed:
            del told[name]
        else:
            told[name] = replace(before, event=event, told=now.isoformat() if due else before.told, owed=tuple(owed))
    if told != known:
        make_folder(path.parent, options.lake_folder_mode)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({name: asdict(item) for name, item in told.items()}, indent=2), encoding="utf-8")
        draft.replace(path)
    return failures


def _due(before: _Reported | None, event: str, now: dt.datetime) -> tuple[bool, _Reported]:
    """Whether all channels get an alert now, not those alone that lack it; and what was reported of it before."""
    if before is None or (before.event, event) == ("recovery", "problem"):
        return True, _Reported(now.isoformat(), now.isoformat())
    return before.event != event or now - dt.datetime.fromisoformat(before.told) >= AGAIN, before


def channels(options: Settings) -> list[Channel]:
    """The channels that the settings name."""
    found = []
    if options.notify_webhook_url:
        found.append(webhook(options.notify_webhook_url))
    if options.slack_webhook_url:
        found.append(slack(options.slack_webhook_url))
    if options.smtp_host and options.smtp_sender and options.smtp_recipients.strip(" ,"):
        found.append(mail(options))
    return found


def webhook(url: str) -> Channel:
    """Posts each alert as a JSON object; an answer other than 2xx is a failure."""
    return Channel("webhook", lambda alert: _post(url, {"project": "lakemesh"} | asdict(alert)))


def slack(url: str) -> Channel:
    """Posts each alert to an incoming webhook of Slack, as plain text: what objects are called is no markup."""

    def send(alert: Alert) -> None:
        text = _shortened(f"Lakemesh {alert.event}: {alert.message}", SLACK_CHARACTERS)
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        _post(url, {"text": escaped, "blocks": [block]})

    return Channel("slack", send)


def mail(options: Settings) -> Channel:
    """Sends each alert by a mail server over TLS."""

    def send(alert: Alert) -> None:
        import smtplib
        from email.message import EmailMessage

        message = EmailMessage()
        message["Subject"] = f"Lakemesh {alert.event}: {alert.name}"
        message["From"] = options.smtp_sender
        message["To"] = ", ".join(name.strip() for name in options.smtp_recipients.split(",") if name.strip())
        message.set_content(alert.message)
        with smtplib.SMTP_SSL(options.smtp_host, options.smtp_port, timeout=ANSWER_SECONDS) as server:
            if options.smtp_user and options.smtp_password:
                server.login(options.smtp_user, options.smtp_password)
            server.send_message(message)

    return Channel("mail", send)


def sqlmesh_target(target: BaseNotificationTarget, number: int) -> Channel:
    """Sends by a notification target that somebody added to SQLMesh's configuration, the number-th."""

    def send(alert: Alert) -> None:
        from sqlmesh.core.notification_target import NotificationStatus

        status = NotificationStatus.FAILURE if alert.event == "problem" else NotificationStatus.SUCCESS
        target.send(notification_status=status, msg=f"Lakemesh {alert.event}: {alert.message}")

    return Channel(f"{target.type_} {number} of config.yaml", send)


def _post(url: str, body: Mapping[str, Any]) -> None:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    with requests.Session() as session:
        again = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        session.post(url, json=body, timeout=ANSWER_SECONDS).raise_for_status()


def _send(alert: Alert, channel: Channel) -> str:
    """Sends one alert; what went wrong, empty when nothing did."""
    try:
        channel.send(alert)
    except Exception as error:  # a library of the channel's own: whatever it is, the cycle goes on
        return f"{alert.name} could not be reported by {channel.name}: {_shortened(redact(described(error)), 300)}"
    return ""


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _read(path: Path) -> dict[str, _Reported]:
    """What was reported, by name of the alert. What cannot be read was not: it is reported again."""
    found = {}
    with suppress(FileNotFoundError, ValueError, AttributeError):
        for name, item in json.loads(path.read_text(encoding="utf-8")).items():
            with suppress(TypeError, ValueError):
                found[name] = _Reported(**item)
    return found


def _age(time: dt.timedelta) -> str:
    """
    >>> _age(dt.timedelta(minutes=90)), _age(dt.timedelta(days=3, hours=1))
    ('1.5 hours', '3.0 days')
    """
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
