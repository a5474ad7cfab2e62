"""Alert reporting: once, again each day while the problem lasts, and once on recovery.

The alerts already reported are kept in `LAKE_HOME/alerts.json`, so that this works whatever else is broken.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingest.errors import describe
from ingest.settings import Settings
from ingest.storage.folders import make_folder
from pipeline.alerting.alert import Alert, Channel, shortened
from pipeline.process.redact import redact

AGAIN = dt.timedelta(days=1)
"""A problem that persists is reported again after this time."""
ALERTS = "alerts.json"


@dataclass(frozen=True, slots=True)
class _Reported:
    """The last report of an alert, as kept in `alerts.json`.

    Attributes:
        since: when it was first reported, ISO 8601 with offset.
        told: when it was last reported, ISO 8601 with offset.
        event: `problem` or `recovery`, as last reported.
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


def report(
    problems: Mapping[str, str],
    targets: Iterable[Channel],
    options: Settings,
    now: dt.datetime,
    unseen: Collection[str] = (),
    file: str = ALERTS,
) -> list[str]:
    """Report new and persisting problems, and recoveries.

    An alert that a channel could not send is sent by that channel the next time.

    Args:
        problems: message of each current problem, by name of the alert.
        unseen: alerts whose current state is unknown; they are not reported.
        file: name of the file below LAKE_HOME with what was reported, one per program.

    Returns:
        Failures to send, one line each.
    """
    by_name = {target.name: target for target in targets}
    if not by_name:
        return []
    path = Path(options.lake_home) / file
    known = _read(path)
    reported = dict(known)
    failures: list[str] = []
    silent: set[str] = set()
    for name in sorted((problems.keys() | known.keys()) - set(unseen)):
        event = "problem" if name in problems else "recovery"
        due, before = _due(known.get(name), event, now)
        alert = Alert(name, event, redact(problems.get(name, f"{name} has recovered")), before.since, now.isoformat())
        owed = []
        for target in [item for item in by_name if due or item in before.owed]:
            # a channel that does not answer is tried once per cycle
            if target not in silent and (fault := _send(alert, by_name[target])):
                failures.append(fault)
                silent.add(target)
            if target in silent:
                owed.append(target)
        if event == "recovery" and not owed:
            del reported[name]
        else:
            last = now.isoformat() if due else before.told
            reported[name] = replace(before, event=event, told=last, owed=tuple(owed))
    if reported != known:
        make_folder(path.parent, options.lake_folder_mode)
        draft = path.with_suffix(".draft")
        text = json.dumps({name: asdict(item) for name, item in reported.items()}, indent=2)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    return failures


def is_silent(options: Settings, problems: Collection[str], now: dt.datetime) -> bool:
    """Whether nothing has to be reported while these problems last that were reported before, if there are channels.

    Args:
        problems: names of the alerts.
    """
    known = _read(Path(options.lake_home) / ALERTS)
    return all(name in problems and not item.owed and not _due(item, "problem", now)[0] for name, item in known.items())


def _due(before: _Reported | None, event: str, now: dt.datetime) -> tuple[bool, _Reported]:
    """Decide whether the alert is due on all channels, and return its previous report.

    An alert that is not due goes only to the channels that missed it.
    """
    if before is None or (before.event, event) == ("recovery", "problem"):
        return True, _Reported(now.isoformat(), now.isoformat())
    return before.event != event or now - dt.datetime.fromisoformat(before.told) >= AGAIN, before


def _send(alert: Alert, channel: Channel) -> str:
    """Send one alert; returns the failure, or an empty string."""
    try:
        channel.send(alert)
    except Exception as error:  # the channel's library may raise anything; the cycle continues
        return f"{alert.name} could not be reported by {channel.name}: {shortened(redact(describe(error)), 300)}"
    return ""


def _read(path: Path) -> dict[str, _Reported]:
    """Read the previous reports by name of the alert. Unreadable ones are ignored, so those alerts are sent again."""
    found = {}
    with suppress(FileNotFoundError, ValueError, AttributeError):
        for name, item in json.loads(path.read_text(encoding="utf-8")).items():
            with suppress(TypeError, ValueError):
                found[name] = _Reported(**item)
    return found
