"""Rules: measures follow Prometheus's conventions, have few series, and counters outlive processes."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from pipeline.cli import main
from pipeline.lake import Lake
from pipeline.monitoring.cycles import CycleFacts, note_cycle, note_maintenance
from pipeline.monitoring.definitions import DEFINITIONS, Sample
from pipeline.monitoring.exposition import Exporter, exposition, write_file
from pipeline.monitoring.feeds import MOST_REASONS, feed_measures
from pipeline.monitoring.kept import keeping, kept_samples
from pipeline.monitoring.known import Known, keep_known, read_known
from tests.home import Home

client = pytest.importorskip("prometheus_client", reason="Prometheus: its client is not installed, the extra `serve`")
parser = pytest.importorskip("prometheus_client.parser")
NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
UNITS = ("_seconds", "_bytes", "_ratio")
THINGS = ("_objects", "_records", "_rows", "_files", "_messages", "_tables", "_models_computed", "_models_skipped")
BOUNDED = {"feed", "reason", "dimension", "place", "outcome", "stage", "result", "percentile"}
BARE = {
    *("lakemesh_feed_readable", "lakemesh_feed_position", "lakemesh_release_number", "lakemesh_release_is_held"),
    *("lakemesh_release_is_suspect", "lakemesh_releases_kept", "lakemesh_cycle_last_exit_code"),
    *("lakemesh_cycle_last_dates_computed", "lakemesh_cycle_last_withheld_dates"),
}
"""Gauges without a unit: numbers of something, and whether something holds."""


def values(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """What Prometheus's own parser reads from a page, by name and values of labels."""
    return {
        (sample.name, _ordered(sample.name, sample.labels)): sample.value
        for family in parser.text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def _ordered(name: str, labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(labels[label] for label in (DEFINITIONS[name].labels if name in DEFINITIONS else labels))


def measured(home: Home) -> dict[tuple[str, tuple[str, ...]], float]:
    return values(Exporter(Lake(home.options)).page())


def test_names_and_labels_follow_the_conventions() -> None:
    for name, definition in DEFINITIONS.items():
        assert re.fullmatch(r"lakemesh_[a-z][a-z_]*", name)
        assert (definition.kind == "counter") == name.endswith("_total")
        assert name.endswith(("_total", *UNITS, *THINGS)) or name in BARE, name
        assert ("timestamp" not in name) or name.endswith("_timestamp_seconds")
        assert definition.help.endswith(".")
        assert set(definition.labels) <= BOUNDED


def test_every_measure_survives_the_parser_with_hostile_labels() -> None:
    label = 'a"b\\c\n} 1\nlakemesh_fake 1'
    samples = [Sample(name, 1.5, (label,) * len(item.labels)) for name, item in DEFINITIONS.items()]
    found = values(exposition(samples))
    assert found == {(sample.name, sample.labels): 1.5 for sample in samples}


def test_feeds_are_measured_from_landing_and_ledger(home: Home) -> None:
    home.put("users", "1.json", {"user_id": "u1"}, {"user_id": "u2"}, b"{", b"[]", {"country_code": "fr"})
    home.ingest("users")
    home.put("users", "2.json", {"user_id": "u3"})
    found = measured(home)

    def of(name: str, *labels: str) -> float:
        return found[f"lakemesh_{name}", labels or ("users",)]

    assert (of("feed_readable"), of("feed_rows"), of("feed_loaded_objects"), of("feed_files")) == (1, 2, 1, 1)
    assert (of("feed_waiting_objects"), of("feed_waiting_bytes")) == (1, len(b'{"user_id": "u3"}\n'))
    landed = {item.key: item.modified_at.timestamp() for item in home.landing("users").list()}
    assert of("feed_oldest_waiting_timestamp_seconds") == pytest.approx(landed["2.json"], abs=1e-3)
    assert of("feed_newest_object_timestamp_seconds") == pytest.approx(landed["1.json"], abs=1e-3)
    assert of("feed_freshness_seconds") == contracts()["users"].freshness_seconds
    reasons = {labels[1]: count for (name, labels), count in found.items() if name.endswith("quarantined_records")}
    assert sum(reasons.values()) == 3
    assert of("storage_bytes", "bronze") == of("feed_bytes") > 0
    assert ("lakemesh_release_number", ()) not in found, "nothing is published yet"

    # one feed's damage leaves the others measured
    for path in (home.options_home / "lake/ledger/users").glob("0*"):
        path.write_bytes(b"damaged")
    measures = Exporter(Lake(home.options)).measure()
    readable = {item.labels[0]: item.value for item in measures.samples if item.name == "lakemesh_feed_readable"}
    assert readable == dict.fromkeys(contracts(), 1.0) | {"users": 0.0}
    assert [str(error).startswith("users") or "users" in str(error) for error in measures.errors] == [True]


def test_reasons_of_a_quarantine_stay_few_and_are_read_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put("users", "1.json", {"user_id": "u1"}, b"{")
    home.ingest("users")
    lake, contract = Lake(home.options), contracts()["users"]
    known = {"users": (lake.ledger("users").state().position, {f"r{number:02}": 100 - number for number in range(40)})}
    samples = feed_measures([contract], lake.landings, lake.store, lake.kafka, NOW, known).samples
    shown = {item.labels[1]: item.value for item in samples if item.name == "lakemesh_feed_quarantined_records"}
    assert len(shown) == MOST_REASONS + 1
    assert shown["r00"] == 100
    assert sum(shown.values()) == sum(100 - number for number in range(40))

    # a position that moved on is read again
    known["users"] = (0, {})
    feed_measures([contract], lake.landings, lake.store, lake.kafka, NOW, known)
    assert sum(known["users"][1].values()) == 1


def test_what_did_not_change_is_read_once_over_all_cycles(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "lakemesh.prom"
    options = home.options.model_copy(update={"metrics_file": str(path)})
    home.put("users", "1.json", {"user_id": "u1"}, b"{")
    home.ingest("users")
    assert write_file(Lake(options), NOW) == ()
    before = read_known(options)
    assert sum(before.reasons["users"][1].values()) == 1
    before.reasons["users"] = (before.reasons["users"][0], {"kept": 7})
    before.quality[3] = (Sample("lakemesh_feed_quality_ratio", 0.5, ("users", "validity")),)
    keep_known(options, before)
    assert read_known(options) == before

    # the same position: what was kept is shown; a later one is read
    write_file(Lake(options), NOW)
    assert values(path.read_bytes())["lakemesh_feed_quarantined_records", ("users", "kept")] == 7
    home.put("users", "2.json", {"user_id": "u2"})
    home.ingest("users")
    write_file(Lake(options), NOW)
    assert ("lakemesh_feed_quarantined_records", ("users", "kept")) not in values(path.read_bytes())

    # of another lake, or damaged, it counts for nothing
    assert read_known(options.model_copy(update={"lake_uri": "s3://other"})) == Known()
    (home.options_home / "measures/known").write_text('{"of')
    assert read_known(options) == Known()


def test_counters_continue_and_the_last_cycle_is_replaced(home: Home) -> None:
    first = CycleFacts(
        *("published", 0, NOW, {"ingest": 1.0, "load project": 2.0}),
        *(30, 4, 2, 0, {"passed": 9}, {"users": 5}, {"users": 1}),
    )
    second = CycleFacts("not published", 1, NOW + dt.timedelta(hours=1), {"ingest": 0.5}, audits={"failed": 1})
    for facts in (first, second):
        with keeping(home.options, "cycle") as kept:
            note_cycle(kept, facts)
    with keeping(home.options, "maintenance") as kept:
        note_maintenance(kept, 0, NOW)
    found = {(item.name.removeprefix("lakemesh_"), *item.labels): item.value for item in kept_samples(home.options)}
    counted = {("cycles_total", "published"): 1, ("cycles_total", "not_published"): 1, ("cycle_failures_total",): 1}
    counted |= {("cycle_seconds_total", "ingest"): 1.5, ("cycle_seconds_total", "load_project"): 2.0}
    counted |= {("audits_total", "passed"): 9, ("audits_total", "failed"): 1, ("audits_total", "broken"): 0}
    counted |= {("cycle_rows_loaded_total", "users"): 5, ("cycle_records_quarantined_total", "users"): 1}
    counted |= {("cycle_models_computed_total",): 4, ("cycle_models_skipped_total",): 2}
    counted |= {("cycle_last_seconds", "published"): 3.0, ("cycle_last_seconds", "not_published"): 0.5}
    counted |= {("cycle_last_stage_seconds", "ingest"): 0.5, ("maintenance_total",): 1}
    counted |= {("release_current_timestamp_seconds",): NOW.timestamp(), ("cycle_last_exit_code",): 1}
    assert {key: found.get(key) for key in counted} == counted
    assert ("cycle_last_stage_seconds", "load_project") not in found


def test_a_damaged_file_of_counters_starts_again_and_another_version_is_left_out(home: Home) -> None:
    with keeping(home.options, "cycle") as kept:
        kept.add("lakemesh_cycles_total", 1, "published")
    (path,) = (home.options_home / "measures").glob("*.json")
    items = json.loads(path.read_text())
    path.write_text(json.dumps([*items, ["lakemesh_of_another_version", [], 1], ["lakemesh_cycles_total", [], 7]]))
    assert kept_samples(home.options) == [Sample("lakemesh_cycles_total", 1.0, ("published",))]
    path.write_text('[["lakemesh_cyc')
    assert kept_samples(home.options) == []
    with keeping(home.options, "cycle") as kept:
        kept.add("lakemesh_cycles_total", 1, "failed")
    assert kept_samples(home.options) == [Sample("lakemesh_cycles_total", 1.0, ("failed",))]


def test_processes_that_count_at_once_lose_nothing(home: Home) -> None:
    def count() -> None:
        for _ in range(10):
            with keeping(home.options, "cycle") as kept:
                kept.add("lakemesh_cycles_total", 1, "published")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sample.value for sample in kept_samples(home.options)] == [40.0]


def test_a_server_lists_landings_once_in_a_while_and_shows_its_own_measures(home: Home) -> None:
    registry = client.CollectorRegistry()
    requests = client.Counter("lakemesh_api_requests", "Requests.", registry=registry)
    exporter = Exporter(Lake(home.options), registry, fresh_seconds=60)
    requests.inc()
    before = values(exporter.page())
    home.put("users", "1.json", {"user_id": "u1"})
    with keeping(home.options, "live") as kept:
        kept.set("lakemesh_live_latency_seconds", 0.25, "users", "95")
    after = values(exporter.page())
    assert before["lakemesh_api_requests_total", ()] == 1
    assert (
        after["lakemesh_feed_waiting_objects", ("users",)] == before["lakemesh_feed_waiting_objects", ("users",)] == 0
    )
    assert after["lakemesh_live_latency_seconds", ("users", "95")] == 0.25
    assert measured(home)["lakemesh_feed_waiting_objects", ("users",)] == 1


def test_the_file_is_replaced_at_once_and_readable_by_the_exporter(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics" / "lakemesh.prom"
    lake = Lake(home.options.model_copy(update={"metrics_file": str(path)}))
    assert write_file(lake, NOW) == ()
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert list(path.parent.iterdir()) == [path]
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            write_file(lake, NOW)
    assert path.read_bytes() == before


def test_without_the_client_one_sentence_says_what_to_install(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="install the extra `serve`"):
        exposition([])


def test_status_prints_the_measures(home: Home) -> None:
    home.put("users", "1.json", {"user_id": "u1"})
    done = CliRunner().invoke(main, ["status", "--prometheus"])
    assert values(done.stdout_bytes)["lakemesh_feed_waiting_objects", ("users",)] == 1
    assert (done.exit_code, done.stderr) == (0, "")
    refused = CliRunner().invoke(main, ["status", "users", "--prometheus"])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: --prometheus prints the measures of all feeds")
