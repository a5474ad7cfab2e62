"""A problem is reported once, again after a day, and when it has recovered, to real HTTP and mail receivers."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import settings
from ingest.storage.store import Store
from pipeline.alerting.alert import Alert, Channel
from pipeline.alerting.channels.slack import slack
from pipeline.alerting.channels.webhook import webhook
from pipeline.alerting.report import report
from pipeline.cycle.cycle import publish_only, run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation import completeness
from pipeline.lake import Lake
from tests.handle import contract_violations
from tests.home import Home
from tests.receivers import MailServer, Receiver

pytestmark = pytest.mark.usefixtures("engagement")

NOW = dt.datetime(2026, 2, 4, 12, tzinfo=dt.UTC)


def cycle(home: Home, at: dt.datetime = NOW) -> RunSummary:
    settings.cache_clear()
    return run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None, now=lambda: at)


def test_a_problem_is_reported_once_then_daily_then_its_recovery(home: Home, receiver: Receiver) -> None:
    def report_after(hours: float, **problems: str) -> list[str]:
        return report(problems, [webhook(receiver.url)], home.options, NOW + dt.timedelta(hours=hours))

    assert (
        report_after(0, cycle="broken")
        == report_after(1, cycle="still broken")
        == report_after(2, cycle="broken", other="too")
        == []
    )
    assert receiver.names() == [("problem", "cycle"), ("problem", "other")]
    report_after(25, cycle="broken", other="too")
    assert receiver.names()[2:] == [("problem", "cycle")], "a day after the first report, not before"
    report_after(26, other="too")
    report_after(27)
    assert receiver.names()[3:] == [("recovery", "cycle"), ("problem", "other"), ("recovery", "other")]
    assert receiver.got[3] == {
        "project": "lakemesh",
        "name": "cycle",
        "event": "recovery",
        "message": "cycle has recovered",
        "since": NOW.isoformat(),
        "at": (NOW + dt.timedelta(hours=26)).isoformat(),
    }


def test_a_receiver_that_is_down_is_notified_later(home: Home, receiver: Receiver) -> None:
    receiver.status = 500
    (fault,) = report({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW)
    assert fault.startswith("cycle could not be reported by webhook: ")
    receiver.status = 200
    assert report({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW) == []
    assert receiver.names() == [("problem", "cycle")]


def test_a_damaged_alert_state_file_does_not_stop_alerts(home: Home, receiver: Receiver) -> None:
    home.options_home.mkdir(parents=True)
    (home.options_home / "alerts.json").write_text("{")
    report({"cycle": "broken"}, [webhook(receiver.url)], home.options, NOW)
    assert receiver.names() == [("problem", "cycle")]


def test_late_and_incomplete_feeds_are_contract_violations(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "utc_now", lambda: NOW)
    events = [contracts()["events"]]
    assert "freshness/events" not in contract_violations(events, home.options, NOW), "a new feed is not late at once"
    assert "freshness/events" not in contract_violations(events, home.options, NOW + dt.timedelta(hours=26))
    overdue = NOW + dt.timedelta(hours=26, seconds=1)
    promised = "the contract promises 26.0 hours; ask engagement"
    assert contract_violations(events, home.options, overdue)["freshness/events"] == (
        f"events is late: none of its objects is loaded yet, and none waits, {promised}"
    )
    home.put("events", "a.json", {"event_id": "e"})
    assert contract_violations(events, home.options, overdue)["freshness/events"] == (
        f"events is late: none of its objects is loaded yet, and one waits, {promised}"
    )
    home.ingest("events")
    written = home.landing("events").find("a.json")
    assert written
    at = written.modified_at
    assert "freshness/events" not in contract_violations(events, home.options, at + dt.timedelta(hours=25))
    late = contract_violations(events, home.options, at + dt.timedelta(hours=30))["freshness/events"]
    assert late.startswith("events is late: its newest object is 30.0 hours old")

    later = at + dt.timedelta(days=2, hours=6)  # whatever the time of day, the day after `at` passed its deadline
    monkeypatch.setattr(completeness, "utc_now", lambda: later)
    found = contract_violations(events, home.options, later)["completeness/events"]
    assert f"{(at + dt.timedelta(days=1)).date()} passed the deadline of 21,600 s" in found


@pytest.fixture
def running(home: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A planned project without contract violations whose webhook is the receiver."""
    for feed in contracts():
        agreed = contracts()[feed].model_copy(update={"freshness_seconds": 10**9, "completeness": None})
        monkeypatch.setitem(contracts(), feed, agreed)
        home.landing(feed).put("_SUCCESS", b"")
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
    home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    home.ingest()
    home.plan()
    return home


def test_a_cycle_reports_failure_and_recovery(running: Home, receiver: Receiver) -> None:
    late = {name for _, name in receiver.names()}
    assert late == set()
    cycle(running)
    first = [item for item in receiver.names() if not item[1].startswith("freshness/")]
    assert first == []

    for number in (1, 2):
        running.put("activities", f"bad{number}.json", b"no record")
        assert cycle(running).exit_code == 1
    assert cycle(running).exit_code == 0

    reported = [item for item in receiver.got if item["name"] == "cycle"]
    assert [item["event"] for item in reported] == ["problem", "recovery"]
    assert "activities: 1 of 1 records are quarantined" in reported[0]["message"]


def test_an_error_that_ends_the_cycle_is_reported(
    home: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", receiver.url)
    done = cycle(home)
    assert (done.outcome, done.exit_code) == ("failed", 2)
    (reported,) = (item for item in receiver.got if item["name"] == "cycle")
    assert "there is no production yet" in reported["message"]


def test_slack_and_mail_get_each_alert_once(
    running: Home, receiver: Receiver, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLMesh's configuration has the same channels, for its own commands."""
    for name, value in ({"NOTIFY_WEBHOOK_URL": "", "SLACK_WEBHOOK_URL": receiver.url} | mail.variables).items():
        monkeypatch.setenv(name, value)
    agreed = contracts()["events"].model_copy(update={"freshness_seconds": 60})
    monkeypatch.setitem(contracts(), "events", agreed)
    settings.cache_clear()

    seen = (NOW - dt.timedelta(hours=1)).isoformat().encode()
    Store(running.options.lake_uri, running.options).put("ledger/_first_seen/events", seen)

    for _ in range(2):
        publish_only(Lake(settings()), NOW)

    (text,) = (text for text in mail.texts if "events is late" in text)
    sender, recipients = text.split("\n", 1)[0].split(" -> ")
    assert (sender, sorted(recipients.split(","))) == ("lake@example.org", ["data@example.org", "finance@example.org"])
    assert "Subject: Lakemesh problem: freshness/events" in text
    (slack,) = (item for item in receiver.got if "events is late" in json.dumps(item))
    assert slack["blocks"][0]["text"]["type"] == "plain_text"


def test_each_channel_gets_each_alert(home: Home) -> None:
    got: list[str] = []
    targets = [Channel(name, lambda alert, name=name: got.append(f"{name} {alert.name}")) for name in ("a", "b")]
    report({"cycle": "broken"}, targets, home.options, NOW)
    assert got == ["a cycle", "b cycle"]


def test_a_channel_that_is_down_does_not_affect_the_others(home: Home) -> None:
    got: list[str] = []
    is_down = True

    def send(alert: Alert) -> None:
        got.append(f"down {alert.event} {alert.name}")
        if is_down:
            raise OSError("no route to host")

    targets = [Channel("down", send), Channel("up", lambda alert: got.append(f"up {alert.event} {alert.name}"))]
    for hour in range(2):
        at = NOW + dt.timedelta(hours=hour)
        assert len(report({"cycle": "broken", "other": "too"}, targets, home.options, at)) == 1
    assert got == ["down problem cycle", "up problem cycle", "up problem other", "down problem cycle"]
    got.clear()

    is_down = False
    report({"other": "too"}, targets, home.options, NOW + dt.timedelta(hours=2))
    assert got == ["down recovery cycle", "up recovery cycle", "down problem other"]
    got.clear()
    report({"other": "too"}, targets, home.options, NOW + dt.timedelta(hours=3))
    assert got == []


def test_what_cannot_be_checked_is_neither_a_problem_nor_a_recovery(home: Home) -> None:
    got: list[str] = []
    targets = [Channel("all", lambda alert: got.append(alert.event))]
    report({"freshness/events": "late"}, targets, home.options, NOW)
    report({}, targets, home.options, NOW, unseen={"freshness/events"})
    assert got == ["problem"]
    report({}, targets, home.options, NOW)
    assert got == ["problem", "recovery"]


def test_alert_text_is_escaped_for_slack(receiver: Receiver) -> None:
    message = "raw-events/<!channel>&*x*.json is late " + "x" * 5000
    slack(receiver.url).send(Alert("cycle", "problem", message, "", ""))
    (got,) = receiver.got
    assert got["blocks"][0]["text"]["text"].startswith("Lakemesh problem: raw-events/<!channel>&*x*.json")
    assert len(got["blocks"][0]["text"]["text"]) < 3000
    assert "&lt;!channel&gt;&amp;" in got["text"]
