"""Rules: each cycle leaves its measures and sends its events, also when it fails, and neither holds it up."""

from __future__ import annotations

import datetime as dt
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.scheduler import Scheduler

from ingest.errors import Busy
from ingest.settings import settings
from pipeline.cycle.cycle import exclusive_cycle, run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.monitoring.sender import Sender
from tests.engagement import play
from tests.home import Home, copy_home, template
from tests.pipeline.monitoring.test_measures import values
from tests.receivers import Receiver, serve_receiver

pytestmark = pytest.mark.usefixtures("engagement")
DAY = dt.timedelta(days=1)
NOT_INSTALLED = "OpenLineage: its client is not installed, the extra `openlineage`"


def cycle(home: Home) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)


@pytest.fixture(scope="module")
def planned(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with three records whose models are planned; nothing is published."""
    with template(tmp_path_factory.mktemp("planned"), engagement_project) as home:
        yesterday = str((dt.datetime.now(dt.UTC) - DAY).date())
        home.put("users", "1.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "1.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("events", "1.json", play("e1", yesterday))
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def lake_home(planned: Home, home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Home]:
    """That lake elsewhere, with some variables."""
    copy_home(planned, home)

    def made(**variables: str) -> Home:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return Home()

    return made


@contextmanager
def broken(model: str) -> Iterator[None]:
    """Let a model fail while the body runs."""

    def evaluate(self: Any, snapshot: Any, *args: Any, **options: Any) -> Any:
        if f'"{model}"' in snapshot.name:
            raise RuntimeError("no memory, password=hunter2!")
        return original(self, snapshot, *args, **options)

    original = Scheduler.evaluate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scheduler, "evaluate", evaluate)
        yield


def test_measures_of_cycles_that_publish_find_nothing_and_fail(lake_home: Callable[..., Home], tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "lakemesh.prom"
    home = lake_home(METRICS_FILE=str(path))

    def found(name: str, *labels: str) -> float | None:
        return values(path.read_bytes()).get((f"lakemesh_{name}", labels))

    # the first publishes
    home.put("users", "2.json", {"user_id": "u2"}, b"{")
    first = cycle(home)
    assert (first.outcome, first.warnings) == ("published", [])
    assert first.exit_code == 1, "half of the users are quarantined"
    assert (found("cycles_total", "published"), found("cycle_failures_total")) == (1, 1)
    assert found("cycle_rows_loaded_total", "users") == found("cycle_records_quarantined_total", "users") == 1
    assert found("cycle_models_computed_total") == len(first.computed)
    assert found("cycle_dates_computed_total") == sum(len(done.dates) for done in first.computed.values())
    assert found("cycle_last_stage_seconds", "run") == first.seconds["run"]
    assert found("release_number") == first.state == 1
    release = Lake(home.options).releases.get(1)
    assert found("release_rows") == sum(table.rows for table in release.tables.values())
    assert found("release_published_timestamp_seconds") == pytest.approx(release.published_at.timestamp(), abs=1e-3)
    assert found("release_current_timestamp_seconds") == found("cycle_last_end_timestamp_seconds")
    assert found("cycle_last_peak_memory_bytes") > 1e8

    # the second finds nothing
    second = cycle(home)
    assert (second.outcome, second.exit_code) == ("unchanged", 0)
    assert (found("cycles_total", "unchanged"), found("cycle_failures_total")) == (1, 1)
    assert found("release_current_timestamp_seconds") == found("cycle_last_end_timestamp_seconds")
    assert found("cycle_last_stage_seconds", "publish") is None

    # the third fails, and the file says so
    home.put("users", "3.json", {"user_id": "u3"})
    with broken("users"):
        third = cycle(home)
    assert third.exit_code == 1
    assert (found("cycles_total", "not_published"), found("cycle_failures_total")) == (1, 2)
    assert found("cycle_last_exit_code") == 1
    assert found("release_number") == 1
    assert found("release_current_timestamp_seconds") < found("cycle_last_end_timestamp_seconds")

    # one that is killed is counted by the next
    program = (
        "import os\n"
        "from ingest.settings import settings\n"
        "from pipeline.cycle import cycle\n"
        "from pipeline.lake import Lake\n"
        "cycle.ingest_all = lambda *_: os._exit(9)\n"
        "cycle.run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 9
    assert cycle(home).outcome == "published"
    assert (found("cycles_total", "killed"), found("cycle_failures_total")) == (1, 3)
    assert not (home.options_home / "measures/running").exists()

    # one that finds another in progress is none
    before = path.read_bytes()
    lake = Lake(home.options)
    with exclusive_cycle(lake, 0), pytest.raises(Busy):
        cycle(home)
    assert path.read_bytes() == before


def events_of(receiver: Receiver) -> list[Any]:
    pytest.importorskip("openlineage.client", reason=NOT_INSTALLED)
    from tests.openlineage import read_event

    return [read_event(item) for item in receiver.got]


def test_events_have_the_lineage_of_computed_models_and_the_errors_of_failed_ones(
    lake_home: Callable[..., Home],
) -> None:
    with serve_receiver() as receiver:
        home = lake_home(OPENLINEAGE_URL=receiver.url.removesuffix("/hook"), OPENLINEAGE_NAMESPACE="shop")
        home.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
        home.put("events", "2.json", play("e2", str((dt.datetime.now(dt.UTC) - DAY).date()), "u2"))
        done = cycle(home)
        assert (done.outcome, done.exit_code, done.warnings) == ("published", 0, [])
        events = events_of(receiver)
        receiver.got.clear()
        home.put("users", "3.json", {"user_id": "u3", "country_code": "de"})
        with broken("users"):
            assert cycle(home).exit_code == 1
        of_failure = events_of(receiver)
    warehouse = f"duckdb://{home.options.warehouse_path}"

    # the cycle is around its models
    assert {event.job.namespace for event in events} == {"shop"}
    ends = [(events[0].job.name, events[0].eventType.name), (events[-1].job.name, events[-1].eventType.name)]
    assert ends == [("cycle", "START"), ("cycle", "COMPLETE")]
    last = events[-1]
    landings = {("file", str(home.landing(feed).root)) for feed in ("users", "events")}
    assert {(item.namespace, item.name) for item in last.inputs} == landings
    outputs = {item.name for item in last.outputs if item.namespace == "file"}
    assert f"{home.options.lake_uri}/bronze/users" in outputs
    assert f"{home.options.published_uri}/tables/gold.activity_engagement_metrics" in outputs

    # each computed model started and ended once, as a child of the cycle
    models = {}
    for event in events[1:-1]:
        models.setdefault(event.job.name, []).append(event)
        assert event.run.facets["parent"].run.runId == last.run.runId
    assert models.keys() == done.computed.keys()
    assert all([event.eventType.name for event in own] == ["START", "COMPLETE"] for own in models.values())
    assert all(start.run.runId == end.run.runId for start, end in models.values())
    assert len({own[0].run.runId for own in models.values()}) == len(models)

    # types and lineage of columns
    (output,) = models["silver.users"][1].outputs
    assert (output.namespace, output.name) == (warehouse, "silver.users")
    lineage = output.facets["columnLineage"].fields
    (source,) = [field for field in lineage["country_code"].inputFields if field.field == "country_code"]
    assert (source.namespace, source.name) == ("file", f"{home.options.lake_uri}/bronze/users")
    (metrics,) = models["gold.activity_engagement_metrics"][1].outputs
    (counted,) = metrics.facets["columnLineage"].fields["activities_played"].inputFields
    assert (counted.namespace, counted.name, counted.field) == (
        warehouse,
        "silver.activity_events_enriched",
        "event_id",
    )
    assert [(how.type, how.subtype) for how in counted.transformations] == [("DIRECT", "AGGREGATION")]
    types = {field.name: field.type for field in metrics.facets["schema"].fields}
    assert types["activities_played"] == "BIGINT"

    # a model that fails is a failed run, without secrets, and those that were not reached have none
    ends_of_failure = {event.job.name: event for event in of_failure if event.eventType.name == "FAIL"}
    assert ends_of_failure.keys() == {"silver.users", "cycle"}
    for event in ends_of_failure.values():
        assert "no memory, password=***" in event.run.facets["errorMessage"].message
    assert "gold.activity_engagement_metrics" not in {event.job.name for event in of_failure}


def test_what_fails_here_is_a_warning_and_what_is_not_installed_is_named_in_one_sentence(
    lake_home: Callable[..., Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openlineage.client", reason=NOT_INSTALLED)
    (tmp_path / "taken").touch()
    away = {"TYPE": "http", "URL": "http://127.0.0.1:9", "RETRY": '{"total": 0}'}
    variables = {f"OPENLINEAGE__TRANSPORT__{name}": value for name, value in away.items()}
    home = lake_home(METRICS_FILE=str(tmp_path / "taken" / "lakemesh.prom"), **variables)
    done = cycle(home)
    assert (done.outcome, done.exit_code) == ("published", 0)
    lineage, metrics = done.warnings
    assert lineage.startswith("OpenLineage: events were not sent: ")
    assert "taken" in metrics

    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    lineage, metrics = cycle(home).warnings
    assert "install the extra `openlineage`" in lineage
    assert "install the extra `serve`" in metrics


def test_an_endpoint_that_does_not_answer_is_waited_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    events = pytest.importorskip("openlineage.client.event_v2", reason=NOT_INSTALLED)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        sender, job = Sender(), events.Job("lakemesh", "cycle")
        run = events.Run("e36bfb54-db7c-5455-9e2e-4dee3f5cb26f")
        now = dt.datetime.now(dt.UTC).isoformat()
        for _ in range(100):
            sender.send(lambda: events.RunEvent(eventTime=now, producer="urn:lakemesh", run=run, job=job))
        began = time.monotonic()
        fault = sender.close(0.5)
        assert time.monotonic() - began < 2
        assert fault.startswith("events were not sent within 0.5 s")


def test_nothing_is_sent_by_default(lake_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lake_home().options.sends_lineage
    assert lake_home(OPENLINEAGE_URL="http://127.0.0.1:9").options.sends_lineage
    assert not lake_home(OPENLINEAGE_DISABLED="true").options.sends_lineage
