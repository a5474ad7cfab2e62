"""Alerts are sent once, again after a day, and once more when all is well.

What is wrong is remembered in a file beside the locks, whatever else is broken.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingest.errors import described
from ingest.settings import Settings
from ingest.storage.folders import make_folder
from pipeline.alerting.alert import Alert, Channel, shortened
from pipeline.process.redact import redact

AGAIN = dt.timedelta(days=1)
"""What is still wrong after so long is reported again."""


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


def report(
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


def _send(alert: Alert, channel: Channel) -> str:
    """Sends one alert; what went wrong, empty when nothing did."""
    try:
        channel.send(alert)
    except Exception as error:  # a library of the channel's own: whatever it is, the cycle goes on
        return f"{alert.name} could not be reported by {channel.name}: {shortened(redact(described(error)), 300)}"
    return ""


def _read(path: Path) -> dict[str, _Reported]:
    """What was reported, by name of the alert. What cannot be read was not: it is reported again."""
    found = {}
    with suppress(FileNotFoundError, ValueError, AttributeError):
        for name, item in json.loads(path.read_text(encoding="utf-8")).items():
            with suppress(TypeError, ValueError):
                found[name] = _Reported(**item)
    return found
