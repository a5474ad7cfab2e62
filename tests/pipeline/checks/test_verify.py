"""`lake verify`, `lake status` and `lake why` agree with the stored data and name every difference."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.steps.parse import Parser
from pipeline.checks.verify import FeedVerdict
from pipeline.cli.show_look import show_history, show_status, show_verdicts
from tests.handle import feed_status, object_history, verify_feed
from tests.home import Home


def event(event_id: str, day: str = "2026-01-01") -> dict[str, Any]:
    return {"event_id": event_id, "name": "activity_exit", "occurred_at": f"{day} 10:00:00", "user_id": "u", "data": {}}


@pytest.fixture
def loaded(home: Home) -> Home:
    """Two objects with four rows on two dates and two bad lines."""
    home.put("events", "a.json", event("a1"), event("a2", "2026-01-02"), b"{", event("a3"))
    home.put("events", "b.json", event("b1"), b"[]")
    home.ingest("events")
    return home


def verify(home: Home, deep: bool = False) -> FeedVerdict:
    return verify_feed(contracts()["events"], home.options, deep)


def bronze(home: Home) -> list[Path]:
    return sorted(Path(home.options.lake_uri, "bronze").rglob("*.parquet"))


@pytest.mark.parametrize("deep", [False, True])
def test_consistent_lake_has_no_differences(loaded: Home, deep: bool) -> None:
    assert verify(loaded, deep) == FeedVerdict("events", objects=2, records=6, rows=4, quarantined=2, files=3)


def test_empty_lake_has_no_differences(home: Home) -> None:
    Path(home.options.landing("raw-events")).mkdir(parents=True)
    assert verify(home, deep=True) == FeedVerdict("events")


def test_pending_deleted_and_orphaned_files_are_counted_but_no_difference(loaded: Home) -> None:
    landing = Path(loaded.options.landing("raw-events"))
    (landing / "a.json").unlink()
    loaded.put("events", "b.json", event("b1"), event("b2"))
    loaded.put("events", "c.json", event("c1"))
    shutil.copy(bronze(loaded)[0], bronze(loaded)[0].with_name("left-by-a-crash.parquet"))
    verdict = verify(loaded, deep=True)
    assert (verdict.waiting, verdict.gone, verdict.orphans, verdict.differences) == (2, 1, 1, [])


def test_missing_file_is_named(loaded: Home) -> None:
    lost = bronze(loaded)[0]
    lost.unlink()
    assert verify(loaded).differences == [f"missing file: {lost.relative_to(loaded.options.lake_uri)}"]


def test_file_with_fewer_rows_is_named(loaded: Home) -> None:
    file = bronze(loaded)[0]
    table = pq.ParquetFile(file).read()
    pq.write_table(table.slice(1), file)
    (difference,) = verify(loaded).differences
    assert difference.startswith(
        f"file differs: {file.relative_to(loaded.options.lake_uri)} has {table.num_rows - 1} rows"
    )


def test_duplicated_line_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Parser.parse

    def wrong(self: Parser, pieces: Any) -> Any:
        parsed = real(self, pieces)
        return replace(parsed, rows=pa.concat_tables([parsed.rows, parsed.rows.slice(0, 1)]))

    with monkeypatch.context() as fault:
        fault.setattr(Parser, "parse", wrong)
        home.put("events", "a.json", event("a1"))
        home.ingest("events")

    (difference,) = verify(home).differences
    assert difference.startswith("object differs: raw-events/a.json has 2 rows in 1 lines and 0 quarantined")


def test_row_that_differs_from_its_source_is_named_by_the_deep_check(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Parser.parse

    def wrong(self: Parser, pieces: Any) -> Any:
        parsed = real(self, pieces)
        place = parsed.rows.schema.get_field_index("user_id")
        users = pa.array(["somebody else", *parsed.rows.column(place).to_pylist()[1:]])
        return replace(parsed, rows=parsed.rows.set_column(place, "user_id", users))

    with monkeypatch.context() as fault:
        fault.setattr(Parser, "parse", wrong)
        home.put("events", "a.json", event("a1"), event("a2"))
        home.ingest("events")

    assert verify(home).differences == []
    assert verify(home, deep=True).differences == [
        "row only in the lake: raw-events/a.json line 1",
        "row only in the source: raw-events/a.json line 1",
    ]
    assert "differs" in show_verdicts([verify(home, deep=True)])


def test_status_counts_pending_and_loaded_objects(loaded: Home) -> None:
    loaded.put("events", "c.json", event("c1"))
    status = feed_status(contracts()["events"], loaded.options)
    assert (status.waiting, status.objects, status.rows, status.quarantined, status.files) == (1, 2, 4, 2, 2)
    assert status.waiting_bytes == Path(loaded.options.landing("raw-events"), "c.json").stat().st_size
    (day,) = status.days
    assert (day.rows, day.quarantined) == (4, 2)
    assert status.oldest_waiting_at is not None
    shown = show_status([status], status.oldest_waiting_at + dt.timedelta(hours=3))
    assert "3 h ago" in shown


def test_why_shows_the_whole_history_of_an_object(loaded: Home) -> None:
    loaded.put("events", "b.json", event("b1"), event("b2"), b"nonsense")
    waiting = object_history("raw-events/b.json", loaded.options)
    assert waiting.state == "overwritten, its new version waits"
    loaded.ingest("events")

    life = object_history("raw-events/b.json", loaded.options)

    assert life.state == "loaded"
    assert [(step.position, step.version.rows, step.version.quarantined) for step in life.steps] == [
        (1, 1, 1),
        (2, 2, 1),
    ]
    assert [(bad.line, bad.reason, bad.raw) for bad in life.bad_lines] == [(3, "unparsable", "nonsense")]
    assert len(life.files) == 2
    assert "line 3: unparsable" in show_history(life)


def test_why_distinguishes_pending_deleted_and_unknown_objects(loaded: Home) -> None:
    loaded.put("events", "new.json", event("n1"))
    assert object_history("raw-events/new.json", loaded.options).state == "waiting"
    Path(loaded.options.landing("raw-events"), "a.json").unlink()
    assert object_history("raw-events/a.json", loaded.options).state == "gone from the landing; its rows stay"
    with pytest.raises(ConfigError, match="neither in the landing nor in a ledger"):
        object_history("raw-events/never.json", loaded.options)


@pytest.mark.s3
def test_verify_and_why_work_on_s3(s3_home: Home) -> None:
    s3_home.put("events", "a.json", event("a1"), b"{")
    s3_home.ingest("events")
    assert verify(s3_home, deep=True) == FeedVerdict("events", objects=1, records=2, rows=1, quarantined=1, files=2)
    assert object_history("raw-events/a.json", s3_home.options).bad_lines[0].line == 2
