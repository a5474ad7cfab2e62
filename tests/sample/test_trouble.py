"""Each fault option has exactly the effect that the tally states, verified with the real ingester."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.records.parts import Piece
from ingest.records.report import FeedReport
from ingest.steps.parse import Parser
from ingest.storage.store import Store
from pipeline.dev.sampling import write_sample
from pipeline.warehouse.bronze import bronze_query
from sample.generate import generate
from sample.objects import Tally
from sample.options import SampleOptions
from sample.trouble import BAD_FORMS, malformed_line
from tests.home import Home


def write_and_ingest(home: Home, options: SampleOptions) -> tuple[Tally, dict[str, FeedReport]]:
    written = write_sample(options, lambda objects, size: None, home.options)
    return written.tally, {report.feed: report for report in home.ingest().feeds}


def bronze(home: Home, question: str) -> Any:
    """The single value of a query on the bronze feeds `events` and `users`."""
    lake = Store(home.options.lake_uri, home.options)
    parts = [
        f"{feed} AS ({bronze_query(contracts()[feed], lake.uri, Ledger(lake, feed).state().bronze_files())})"
        for feed in ("events", "users")
    ]
    row = duckdb.sql(f"WITH {', '.join(parts)} {question}").fetchone()
    assert row is not None
    return row[0]


def test_without_faults_every_record_is_a_row(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options())
    assert {feed: (report.rows, report.quarantined) for feed, report in reports.items()} == {
        "events": (tally.events, 0),
        "users": (tally.users, 0),
        "activities": (tally.activities, 0),
        **dict.fromkeys(contracts().keys() - {"events", "users", "activities"}, (0, 0)),
    }
    assert tally == Tally(events=tally.events, users=tally.users, activities=tally.activities)
    assert bronze(home, "SELECT COUNT(DISTINCT event_id) FROM events") == tally.events
    assert bronze(home, "SELECT COUNT(*) FROM events ANTI JOIN users USING (user_id)") == 0
    assert bronze(home, "SELECT COUNT(*) FROM events WHERE _rescued_data IS NOT NULL") == 0


FOLDER = "STRPTIME(REGEXP_EXTRACT(_source_file, '[0-9]{4}/[0-9]{2}/[0-9]{2}'), '%Y/%m/%d')::DATE"
LATE = f"""
    SELECT COUNT(*) FROM (SELECT event_id FROM events GROUP BY event_id, event_date HAVING MIN({FOLDER}) > event_date)
"""


def test_late_events_arrive_after_their_date(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options(late=0.1))
    assert tally.late == pytest.approx(0.1 * tally.events, abs=4)
    assert (reports["events"].rows, reports["events"].quarantined) == (tally.events, 0)
    assert bronze(home, LATE) == tally.late


def test_duplicates_are_rows_of_a_known_event_and_corrections_come_later(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options(duplicates=0.2))
    assert tally.duplicates + tally.late == pytest.approx(0.2 * (tally.events - tally.late), abs=12)
    assert bronze(home, LATE) == tally.late > 0  # copies on the first date whose original was never sent
    assert reports["events"].rows == tally.events + tally.duplicates
    assert bronze(home, "SELECT COUNT(DISTINCT event_id) FROM events") == tally.events
    versions = "SELECT event_id, event_date FROM events GROUP BY ALL HAVING COUNT(DISTINCT data.duration) > 1"
    assert bronze(home, f"SELECT COUNT(*) FROM ({versions})") == tally.corrected > 0
    newest = "ARG_MAX(data.duration, (_source_modified_at, _source_file, _source_line))"
    won = f"SELECT event_id FROM events GROUP BY event_id, event_date HAVING {newest} < MAX(data.duration)"
    assert bronze(home, f"SELECT COUNT(*) FROM ({won})") == 0


def test_malformed_lines_are_quarantined_and_nothing_else(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options(malformed=0.1))
    assert tally.malformed == pytest.approx(0.1 * tally.events, abs=4)
    assert (reports["events"].rows, reports["events"].quarantined) == (tally.events, tally.malformed)
    reasons = {"unparsable", "wrong_type", "missing_required", "invalid_utf8", "duplicate_key"}
    assert {reason for reason, _ in reports["events"].reasons} == reasons


@pytest.mark.parametrize("form", range(BAD_FORMS))
def test_each_malformed_form_is_rejected_at_any_place(options: Any, form: int) -> None:
    item = next(item for item in generate(options()) if item.bucket == "raw-events")
    lines = item.body.splitlines()
    bad = malformed_line(lines[3].decode(), form).encode("utf-8", "surrogateescape")
    for place in (0, 5, len(lines)):
        mixed = [*lines[:place], bad, *lines[place:]]
        parsed = Parser(contracts()["events"], [dt.datetime(2026, 11, 21, tzinfo=dt.UTC)]).parse(
            [Piece(0, 1, b"\n".join(mixed) + b"\n")]
        )
        assert [reject.line for reject in parsed.rejects] == [place + 1]
        assert parsed.rows.num_rows == len(lines)


def test_unknown_fields_are_rescued(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options(unknown_fields=0.1))
    assert tally.unknown_fields == pytest.approx(0.1 * tally.events, abs=4)
    assert (reports["events"].rows, reports["events"].quarantined) == (tally.events, 0)
    assert bronze(home, "SELECT COUNT(*) FROM events WHERE _rescued_data IS NOT NULL") == tally.unknown_fields


@pytest.mark.parametrize("end", [dt.date(2016, 2, 29), dt.date(2026, 11, 19)])
def test_future_events_are_quarantined_however_old_the_sample_is(home: Home, options: Any, end: dt.date) -> None:
    tally, reports = write_and_ingest(home, options(future=0.1, end=end))
    assert tally.future == pytest.approx(0.1 * tally.events, abs=4)
    assert reports["events"].reasons == (("event_time_in_future", tally.future),)
    assert reports["events"].rows == tally.events - tally.future


def test_unknown_users_have_no_record_or_a_later_one(home: Home, options: Any) -> None:
    tally, reports = write_and_ingest(home, options(unknown_users=0.1))
    assert tally.unknown_users == pytest.approx(0.1 * tally.events, abs=4)
    assert (reports["events"].rows, reports["users"].rows) == (tally.events, tally.users)
    never = bronze(home, "SELECT COUNT(*) FROM events ANTI JOIN users USING (user_id)")
    late = bronze(
        home,
        "SELECT COUNT(*) FROM events INNER JOIN users USING (user_id) WHERE users.registration_at IS NULL",
    )
    assert never + late == tally.unknown_users
    assert min(never, late) > 0


def test_all_faults_at_once_still_add_up(home: Home, options: Any) -> None:
    rates = dict.fromkeys(("late", "duplicates", "malformed", "unknown_fields", "future", "unknown_users"), 0.1)
    tally, reports = write_and_ingest(home, options(**rates))
    events = reports["events"]
    assert events.rows == tally.events + tally.duplicates - tally.future
    assert events.quarantined == tally.malformed + tally.future
    assert Counter(dict(events.reasons))["event_time_in_future"] == tally.future
    assert bronze(home, LATE) == tally.late
    assert bronze(home, "SELECT COUNT(*) FROM events WHERE _rescued_data IS NOT NULL") == tally.unknown_fields
    assert bronze(home, "SELECT COUNT(DISTINCT event_id) FROM events") == tally.events - tally.future
