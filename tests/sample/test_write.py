"""Writing again changes nothing, resumes where it stopped, and overwrites the requested objects once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import read_settings
from pipeline.cli.show_ingest import show_sample
from pipeline.dev.sampling import write_sample
from sample.generate import generate
from sample.objects import Tally
from sample.options import RATES
from sample.write import SampleSummary, write_objects
from tests.home import Home


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """(inode, modification time) of each file."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*.json")}


def nothing(objects: int, size: int) -> None:
    """Report no progress."""


def test_catalogue_and_accounts_precede_events_and_dates_are_in_order(landing: Any, options: Any) -> None:
    landing.write(options(events_per_file=10))
    steps = []
    for bucket, key in landing.order:
        step = (["raw-activities", "raw-users", "raw-events"].index(bucket), key[:10] if key[0] == "2" else "")
        steps.append(step)
    assert steps == sorted(steps)


def test_second_run_changes_nothing_and_generates_nothing(landing: Any, options: Any) -> None:
    first = landing.write(options(**{name: 0.1 for name in RATES if name != "overwrites"}))
    written = list(landing.order)
    second = landing.write(options(**{name: 0.1 for name in RATES if name != "overwrites"}))
    assert first.existing == 0
    assert second == SampleSummary(existing=first.objects)
    assert landing.order == written


def test_next_day_writes_the_new_day_alone(landing: Any, options: Any) -> None:
    landing.write(options())
    before = dict(landing.objects)
    today = options().end
    summary = landing.write(options(end=today.replace(day=today.day + 1)))
    added = landing.objects.keys() - before.keys()
    assert summary.objects == len(added) > 0
    assert {key[:10] for _, key in added} == {"2026/11/21"}
    assert before.items() <= landing.objects.items()


def test_interrupted_run_resumes_where_it_stopped(landing: Any, options: Any) -> None:
    def fails(bucket: str, key: str, body: bytes) -> None:
        if len(landing.order) == 70:
            raise OSError("disk full")
        landing.put(bucket, key, body)

    with pytest.raises(OSError, match="disk full"):
        write_objects(options(), fails, {})
    kept = dict(landing.objects)
    summary = landing.write(options())
    assert summary.existing == len(kept)
    assert landing.objects == {(item.bucket, item.key): item.body for item in generate(options())}


@pytest.mark.parametrize("compress", [False, True])
def test_overwrites_happen_in_the_second_run_only(landing: Any, options: Any, compress: bool) -> None:
    chosen = options(overwrites=0.25, malformed=0.05, duplicates=0.05, compress=compress)
    expected = {(item.bucket, item.key): item for item in generate(chosen)}
    first = landing.write(chosen)
    assert landing.objects == {name: item.body for name, item in expected.items()}

    second = landing.write(chosen)
    revised = {name: item.revised for name, item in expected.items() if item.revised is not None}
    assert second.overwritten == len(revised) == pytest.approx(0.25 * 31, abs=4)
    assert second.objects == 0
    assert {name: body for name, body in landing.objects.items() if name in revised} == revised

    third = landing.write(chosen)
    assert third == SampleSummary(existing=first.objects)


def test_an_overwritten_object_lacks_one_event_and_corrects_one(options: Any) -> None:
    revised = [item for item in generate(options(overwrites=1.0)) if item.revised is not None]
    assert len(revised) == sum(item.bucket == "raw-events" for item in generate(options()))
    for item in revised:
        assert item.revised is not None
        old, new = (
            {event["event_id"]: event for event in map(json.loads, body.splitlines())}
            for body in (item.body, item.revised)
        )
        assert len(old.keys() - new.keys()) == 1
        assert not new.keys() - old.keys()
        (changed,) = [event for event in new.values() if event != old[event["event_id"]]]
        assert changed["data"]["duration"] != old[changed["event_id"]]["data"]["duration"]
        assert item.revised_tally.events == len(new)


def test_overwritten_objects_replace_their_rows(home: Home, options: Any) -> None:
    chosen = options(overwrites=0.3)
    first = write_sample(chosen, nothing, home.options)
    home.ingest()
    second = write_sample(chosen, nothing, home.options)
    events = next(report for report in home.ingest().feeds if report.feed == "events")
    assert events.replaced == events.objects == second.overwritten > 0
    assert events.rows == second.tally.events
    assert first.tally.events > events.rows


def test_on_disk_a_second_run_changes_no_file(clean_settings: Path, options: Any) -> None:
    first = write_sample(options(), nothing, read_settings())
    before = files(clean_settings)
    assert len(before) == first.objects
    assert sum(Path(name).stat().st_size for name in before) == first.bytes
    assert write_sample(options(), nothing, read_settings()).objects == 0
    assert files(clean_settings) == before


def test_two_seeds_share_a_lake(home: Home, options: Any) -> None:
    tally = Tally()
    for seed in (1, 2):
        tally += write_sample(options(seed=seed, accounts=3), nothing, home.options).tally
    rows = {report.feed: report.rows for report in home.ingest().feeds}
    assert rows == {feed: getattr(tally, feed, 0) for feed in contracts()}  # the shop has none


def test_progress_states_the_total_and_reaches_it(landing: Any, options: Any) -> None:
    steps: list[tuple[int, int]] = []
    summary = write_objects(options(), landing.put, {}, lambda objects, size: steps.append((objects, size)))
    assert -steps[0][0] == sum(objects for objects, _ in steps[1:]) == summary.objects
    assert sum(size for _, size in steps[1:]) == summary.bytes
    again: list[tuple[int, int]] = []
    sizes = {name: len(body) for name, body in landing.objects.items()}
    write_objects(options(), landing.put, sizes, lambda objects, size: again.append((objects, size)))
    assert -again[0][0] == sum(objects for objects, _ in again[1:]) == summary.objects


def test_summary_describes_the_run_in_words(landing: Any, options: Any) -> None:
    chosen = options(overwrites=0.3)
    first = show_sample(landing.write(chosen), chosen)
    assert "2026-11-17 to 2026-11-20" in first
    assert "events" in first
    assert "overwritten" in show_sample(landing.write(chosen), chosen)
    assert "already exists" in show_sample(landing.write(chosen), chosen)


@pytest.mark.s3
def test_on_s3_the_same_objects_exist(s3_lake: dict[str, str], options: Any) -> None:
    lake, chosen = read_settings(), options(events=100, days=2, overwrites=0.5, accounts=1)
    assert lake.landing("raw-events").startswith("s3://")
    first = write_sample(chosen, nothing, lake)
    second = write_sample(chosen, nothing, lake)
    third = write_sample(chosen, nothing, lake)
    assert (first.objects > 0, second.overwritten > 0) == (True, True)
    assert third == SampleSummary(existing=first.objects)
    home = Home()
    rows = {report.feed: report.rows for report in home.ingest().feeds}
    items = list(generate(chosen))
    expected = sum((item.revised_tally if item.revised else item.tally for item in items), Tally())
    assert rows == {feed: getattr(expected, feed, 0) for feed in contracts()}  # the shop has none
