"""Alert rules: each fires at its threshold, has a runbook, and reaches a receiver through real programs."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.settings import PROJECT
from pipeline.monitoring.definitions import DEFINITIONS, Sample
from pipeline.monitoring.exposition import CONTENT_TYPE, exposition
from tests.monitors import alertmanager, program, prometheus, serving, until
from tests.receivers import Receiver, serve_receiver

client = pytest.importorskip("prometheus_client", reason="Prometheus: its client is not installed, the extra `serve`")
RULES = PROJECT / "deploy" / "prometheus" / "alerts.yaml"
HERE = Path(__file__).parent
TESTS = sorted(HERE.glob("*_test.yaml"))
OF_SERVER = {"lakemesh_api_request_seconds_bucket"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_rules_fire_at_their_thresholds_and_not_before() -> None:
    done = subprocess.run([program("promtool"), "test", "rules", *map(str, TESTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    fired = [
        case["alertname"]
        for path in TESTS
        for own in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in own["alert_rule_test"]
        if case.get("exp_alerts")
    ]
    assert sorted(fired) == sorted(rule["alert"] for rule in rules())


def test_rules_use_measures_that_exist_and_link_to_their_runbooks() -> None:
    runbooks = (PROJECT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\S+)$", runbooks, re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert set(re.findall(r"lakemesh_\w+", rule["expr"])) <= DEFINITIONS.keys() | OF_SERVER, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("promtool", ("check", "config", "deploy/prometheus/prometheus.yaml")),
        ("amtool", ("check-config", "deploy/prometheus/alertmanager.yaml")),
    ],
)
def test_configuration_of_the_compose_profile_is_valid(tool: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([program(tool), *arguments], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_finds_no_fault_with_the_measures() -> None:
    samples = [Sample(name, 1.0, ("x",) * len(definition.labels)) for name, definition in DEFINITIONS.items()]
    done = subprocess.run([program("promtool"), "check", "metrics"], input=exposition(samples), capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def sent(receiver: Receiver, status: str) -> set[str]:
    """The alerts that the receiver got with a status."""
    alerts = [alert for group in receiver.got for alert in group["alerts"]]
    return {alert["labels"]["alertname"] for alert in alerts if alert["status"] == status}


def test_late_feeds_missing_releases_and_slow_answers_reach_a_receiver_and_their_end_too(tmp_path: Path) -> None:
    # GIVEN a lake that has just published, whose feed is as old as its contract allows, and whose answers are quick;
    # and the rules, with seconds instead of minutes where they look back
    promise, hours = 3600, 6 * 3600
    short = tmp_path / "alerts.yaml"
    short.write_text(RULES.read_text(encoding="utf-8").replace("[5m]", "[5s]").replace("for: 5m", "for: 2s"))
    registry = client.CollectorRegistry()
    answers = client.Histogram(
        "lakemesh_api_request_seconds", "Time.", ["route"], registry=registry, buckets=(1, 5, 10)
    )
    seconds = 0.5

    def scraped() -> bytes:
        answers.labels("/query").observe(seconds)
        return page + client.generate_latest(registry)

    def measures(moved: float) -> bytes:
        """The measures as they are once the clock has moved on by some seconds."""
        now = time.time() - moved
        at = {
            "lakemesh_feed_newest_object_timestamp_seconds": now - promise,
            "lakemesh_release_current_timestamp_seconds": now - hours + 60,
            "lakemesh_cycle_last_end_timestamp_seconds": now,
        }
        labels = {"lakemesh_feed_newest_object_timestamp_seconds": ("events",)}
        samples = [Sample(name, value, labels.get(name, ())) for name, value in at.items()]
        return exposition([*samples, Sample("lakemesh_feed_freshness_seconds", promise, ("events",))])

    page = measures(0)
    expected = {"LakemeshFeedLate", "LakemeshNoRelease", "LakemeshQueriesSlow"}
    with (
        serve_receiver() as receiver,
        alertmanager(tmp_path, receiver.url) as alerts,
        serving(scraped, CONTENT_TYPE) as target,
        prometheus(tmp_path, target, short, alerts) as server,
    ):
        until(lambda: server.query("lakemesh_feed_freshness_seconds"))
        time.sleep(3)  # three evaluations
        assert server.firing() == set()

        # WHEN 31 minutes pass without a new object or cycle, and answers take 7 seconds
        page, seconds = measures(31 * 60), 7.0

        # THEN the alerts reach the receiver, with their runbooks
        until(lambda: sent(receiver, "firing") == expected)
        assert server.firing() == {(name, "events" * (name == "LakemeshFeedLate")) for name in expected}
        links = {alert["annotations"]["runbook_url"] for group in receiver.got for alert in group["alerts"]}
        assert links == {f"docs/runbooks.md#{name.lower()}" for name in expected}

        # and so does their end, after the next cycle
        page, seconds = measures(0), 0.5
        until(lambda: sent(receiver, "resolved") == expected)
        assert server.firing() == set()
