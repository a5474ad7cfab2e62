"""Dashboards: their JSON is what the code writes, and every panel shows something of a lake in a real Prometheus."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.settings import settings
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.observe import measure_maintenance
from pipeline.dev.grafana import BOARDS, FOLDER, file_of, rendered
from pipeline.lake import Lake
from pipeline.monitoring.definitions import DEFINITIONS
from pipeline.monitoring.exposition import CONTENT_TYPE, Exporter
from pipeline.monitoring.kept import keeping
from tests.engagement import play
from tests.home import Home, copy_project, keep_domain, template
from tests.monitors import Prometheus, program, prometheus, serving, until

client = pytest.importorskip("prometheus_client", reason="Prometheus: its client is not installed, the extra `serve`")
OF_SERVER = "lakemesh_api_request_seconds"
DAY = dt.timedelta(days=1)


def panels() -> list[tuple[str, str]]:
    """Title and query of each panel, from the JSON."""
    found: list[tuple[str, str]] = []
    for board in BOARDS:
        for panel in json.loads(file_of(board).read_text(encoding="utf-8"))["panels"]:
            found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    return found


def test_json_is_what_the_code_writes() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {file_of(board).name for board in BOARDS}
    for board in BOARDS:
        assert file_of(board).read_text(encoding="utf-8") == rendered(board), "run `python -m pipeline.dev.grafana`"


def test_panels_have_ids_titles_and_the_chosen_prometheus() -> None:
    for board in BOARDS:
        made = json.loads(rendered(board))
        shown: list[dict[str, Any]] = made["panels"]
        assert len({panel["id"] for panel in shown}) == len(shown)
        assert made["templating"]["list"][0]["query"] == "prometheus"
        for panel in (panel for panel in shown if panel["type"] != "row"):
            assert panel["title"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_panels_use_measures_that_exist() -> None:
    used = {name for _, query in panels() for name in re.findall(r"lakemesh_\w+", query)}
    assert {name for name in used if not name.startswith(OF_SERVER)} <= DEFINITIONS.keys()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a sample lake, its cycles, and an API beside it."""
    program("prometheus")
    project = copy_project(tmp_path_factory.mktemp("project") / "observed")
    keep_domain(project, "engagement", "pipeline")  # the second has the quality of feeds
    registry = client.CollectorRegistry()
    answers = client.Histogram(OF_SERVER, "Time.", ["route"], registry=registry)
    with template(tmp_path_factory.mktemp("scraped"), project) as home:
        _fill(home)
        lake = Lake(settings())
        assert run_cycle(lake, (), lambda _: lambda objects, size: None).outcome == "published"
        measure_maintenance(lake, 0, dt.datetime.now(dt.UTC), lambda error: pytest.fail(str(error)))
        with keeping(lake.options, "live") as kept:
            kept.set("lakemesh_live_latency_seconds", 0.4, "events", "95")
            kept.set("lakemesh_live_lag_messages", 3, "events")
        home.put("users", "9.json", {"user_id": "u9"})  # it waits
        exporter = Exporter(lake, registry)

        def page() -> bytes:
            answers.labels("/query").observe(0.1)
            return exporter.page()

        with (
            serving(page, CONTENT_TYPE) as target,
            prometheus(tmp_path_factory.mktemp("prometheus"), target) as server,
        ):
            until(lambda: server.query(f"rate({OF_SERVER}_count[5m])"))
            time.sleep(1)
            yield server


def _fill(home: Home) -> None:
    now = dt.datetime.now(dt.UTC)
    home.put("users", "1.json", *({"user_id": f"u{number}", "country_code": "fr"} for number in range(30)), b"{")
    home.put("activities", "1.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
    home.put("events", "1.json", *(play(f"e{days}", str((now - days * DAY).date())) for days in range(1, 4)))
    home.ingest()
    home.plan()


def test_every_panel_shows_something_of_a_sample_lake(scraped: Prometheus) -> None:
    targets = scraped.get("targets")["activeTargets"]
    assert [target["lastError"] for target in targets] == [""]
    empty = [(title, query) for title, query in panels() if not scraped.query(query)]
    assert empty == []
    numbers = [series["value"][1] for _, query in panels() for series in scraped.query(query)]
    assert "NaN" not in numbers
    assert len(panels()) > 25
    (quality,) = scraped.query('lakemesh_feed_quality_ratio{feed="events", dimension="uniqueness"}')
    assert quality["value"][1] == "1"
