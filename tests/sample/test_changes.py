"""When changes of accounts, subscriptions and invoices arrive, and the effect of the fault rates on them."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.records.parts import Piece
from ingest.records.report import FeedReport
from ingest.steps.parse import Parser
from pipeline.dev.sampling import write_sample
from sample import changes as module
from sample.changes import change_days, change_years, changes
from sample.generate import batches, generate
from sample.objects import REVENUE, SampleObject, Tally
from sample.options import SampleOptions
from sample.trouble import CHANGE_FORMS, broken_change
from tests.home import Home

FEEDS = tuple(bucket.removeprefix("raw-") for bucket in REVENUE)
TROUBLE = dict.fromkeys(("late", "duplicates", "malformed", "unknown_fields"), 0.1)


@pytest.fixture(scope="session")
def business() -> Any:
    """Return a factory of options: few events, 40 customers a year."""

    def make(**changed: Any) -> SampleOptions:
        return SampleOptions(**{"end": dt.date(2026, 3, 20), "events": 40, "days": 4, "accounts": 40} | changed)

    return make


def objects(options: SampleOptions) -> list[SampleObject]:
    return [item for item in generate(options) if item.bucket in REVENUE]


def bodies(options: SampleOptions) -> dict[tuple[str, str], bytes]:
    found = objects(options)
    named = {(item.bucket, item.key): item.body for item in found}
    assert len(named) == len(found)
    return named


def lines(options: SampleOptions) -> list[tuple[dt.date, str, dict[str, Any]]]:
    """(date of arrival, feed, record) of every line."""
    return [
        (dt.date.fromisoformat(item.key[:10].replace("/", "-")), item.bucket.removeprefix("raw-"), json.loads(line))
        for item in objects(options)
        for line in item.body.splitlines()
    ]


def version(feed: str, record: dict[str, Any]) -> tuple[str, str]:
    """The identity of a version of a record, the same whether amended or not."""
    number = str(record["version"]) if feed == "subscriptions" else record["updated_at"][:19]
    return record[f"{feed.removesuffix('s')}_id"], number


@pytest.mark.parametrize("rates", [{}, TROUBLE], ids=["plain", "troubled"])
@pytest.mark.parametrize("end", [dt.date(2026, 3, 20), dt.date(2026, 12, 31)])
def test_moving_the_end_adds_only_the_new_day(business: Any, rates: dict[str, float], end: dt.date) -> None:
    tomorrow = end + dt.timedelta(1)
    before, after = (bodies(business(end=day, accounts=150, **rates)) for day in (end, tomorrow))
    added = {key[:10] for _, key in after.keys() - before.keys()}
    assert added == {f"{tomorrow:%Y/%m/%d}"}
    assert all(after[name] == before[name] for name in after.keys() & before.keys())
    gone = [key for _, key in before.keys() - after.keys()]
    assert all("-linked-" in key for key in gone)  # of the date whose users are no longer part of the sample


def test_a_new_year_of_the_first_date_keeps_the_objects(business: Any) -> None:
    old, new = (bodies(business(end=end, **TROUBLE)) for end in (dt.date(2027, 1, 3), dt.date(2027, 1, 4)))
    assert {key.split("-")[2] for _, key in old.keys() - new.keys()} == {"2025"}
    assert all(old[name] == new[name] for name in old.keys() & new.keys())
    assert len(old.keys() & new.keys()) > 300


def test_a_longer_sample_keeps_the_dates(business: Any) -> None:
    short, long = bodies(business(**TROUBLE)), bodies(business(events=1000, days=100, **TROUBLE))
    assert short.items() <= long.items()


def test_another_seed_is_another_population_under_other_keys(business: Any) -> None:
    one, two = lines(business()), lines(business(seed=2))
    accounts = [{record["account_id"] for _, _, record in part} for part in (one, two)]
    assert not accounts[0] & accounts[1]
    assert not bodies(business()).keys() & bodies(business(seed=2)).keys()


def test_without_accounts_there_are_no_objects(business: Any) -> None:
    assert objects(business(accounts=0)) == []


def test_years_and_dates_with_changes(business: Any) -> None:
    assert list(change_years(business())) == [2025, 2026]
    over_new_year = business(end=dt.date(2027, 1, 2))
    assert list(change_years(over_new_year)) == [2025, 2026, 2027]
    days = change_days(over_new_year, 2025)
    assert [dt.date.fromordinal(days[place]) for place in (0, -1)] == [dt.date(2025, 1, 1), dt.date(2026, 12, 31)]


def test_keys_are_known_before_the_objects_are_made(business: Any) -> None:
    for batch in batches(business(**TROUBLE)):
        assert [item.key for item in batch.draw()] == batch.keys


def test_each_change_arrives_once_on_its_date_by_default(business: Any) -> None:
    arrivals = lines(business())
    assert Counter(version(feed, record) for _, feed, record in arrivals).most_common(1)[0][1] == 1
    assert all(str(day) == record["updated_at"][:10] for day, _, record in arrivals)
    expected = sum(
        change.record["updated_at"] < "2026-03-21" for year in (2025, 2026) for change in changes(business(), year)
    )
    linked = sum("user_id" in record for _, _, record in arrivals)
    assert len(arrivals) == expected + linked


def test_lines_of_an_object_are_not_sorted(business: Any) -> None:
    times = [
        [json.loads(line)["updated_at"] for line in item.body.splitlines()] for item in objects(business(accounts=400))
    ]
    assert sum(item != sorted(item) for item in times) > 100


def test_tally_matches_the_objects(business: Any) -> None:
    tally = sum((item.tally for item in objects(business(duplicates=0.3))), Tally())
    found = Counter(feed for _, feed, _ in lines(business(duplicates=0.3)))
    assert sum(found.values()) == tally.accounts + tally.subscriptions + tally.invoices + tally.repeated
    assert 0 < tally.amended < tally.repeated
    assert (tally.events, tally.duplicates) == (0, 0)


def test_objects_have_at_most_the_configured_lines(business: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Counter(line for item in objects(business()) for line in item.body.splitlines())
    monkeypatch.setattr(module, "PER_FILE", 2)
    parts = [item.body.splitlines() for item in objects(business())]
    assert max(map(len, parts)) == 2
    assert Counter(line for part in parts for line in part) == whole
    assert [len(batch.keys) for batch in batches(business())] == [
        len(list(batch.draw())) for batch in batches(business())
    ]


def test_late_changes_arrive_up_to_28_days_later(business: Any) -> None:
    arrivals = lines(business(late=0.2))
    tally = sum((item.tally for item in objects(business(late=0.2))), Tally())
    delays = [(day - dt.date.fromisoformat(record["updated_at"][:10])).days for day, _, record in arrivals]
    assert sum(delay > 0 for delay in delays) == tally.delayed
    assert tally.delayed / len(arrivals) == pytest.approx(0.2, abs=0.03)
    assert 0 <= min(delays) < 10 < max(delays) <= 28
    arrived: dict[str, list[tuple[dt.date, int]]] = defaultdict(list)
    for day, feed, record in arrivals:
        if feed == "subscriptions":
            arrived[record["subscription_id"]].append((day, record["version"]))
    assert any(
        [number for _, number in sorted(versions)] != sorted(n for _, n in versions) for versions in arrived.values()
    )


def test_copies_come_on_the_same_date_or_the_next_and_some_are_amended(business: Any) -> None:
    arrivals = lines(business(duplicates=0.2))
    tally = sum((item.tally for item in objects(business(duplicates=0.2))), Tally())
    copies: dict[tuple[str, str], list[tuple[dt.date, dict[str, Any]]]] = defaultdict(list)
    for day, feed, record in arrivals:
        if "user_id" not in record:
            copies[version(feed, record)].append((day, record))
    again = [found for found in copies.values() if len(found) > 1]
    assert sum(len(found) - 1 for found in again) == pytest.approx(tally.repeated, abs=20)
    days = [[day for day, _ in found] for found in again]
    assert {(max(item) - min(item)).days for item in days} == {0, 1}
    amended = [found for found in again if any(record != found[0][1] for _, record in found)]
    assert len(amended) == pytest.approx(tally.amended, abs=20)
    assert tally.amended == pytest.approx(0.05 * (len(arrivals) - tally.repeated), abs=20)


def test_amended_versions_are_newer_than_the_original_and_older_than_the_next(business: Any) -> None:
    by_version: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, feed, record in lines(business(duplicates=1.0)):
        if feed == "subscriptions":
            by_version[record["subscription_id"], record["version"]].add(record["updated_at"])
    for (name, number), times in by_version.items():
        following = by_version.get((name, number + 1))
        assert following is None or max(times) < min(following)
    assert any(len(times) > 1 for times in by_version.values())


def test_linked_accounts_refer_to_users_of_the_sample(business: Any) -> None:
    items = list(generate(business(events=600, days=30, accounts=150)))
    users = {
        record["user_id"]: record.get("registration_at", "")[:10]
        for item in items
        if item.bucket == "raw-users"
        for record in map(json.loads, item.body.splitlines())
    }
    accounts = [json.loads(line) for item in items if item.bucket == "raw-accounts" for line in item.body.splitlines()]
    links = [record for record in accounts if "user_id" in record]
    assert all(users[record["user_id"]] == record["updated_at"][:10] for record in links)
    newest = {record["account_id"]: record for record in sorted(accounts, key=lambda record: record["updated_at"])}
    linked = [record for record in newest.values() if "user_id" in record]
    assert {record["account_id"] for record in links} == {record["account_id"] for record in linked}
    assert 0.4 < len(linked) / len(newest) < 0.7


def test_a_linked_account_continues_with_another_user(business: Any) -> None:
    times: dict[str, list[dt.date]] = defaultdict(list)
    for _, feed, record in lines(business(events=600, days=150)):
        if feed == "accounts" and "user_id" in record:
            times[record["account_id"]].append(dt.date.fromisoformat(record["updated_at"][:10]))
    steps = {(later - earlier).days for found in times.values() for earlier, later in pairwise(sorted(found))}
    assert steps == {56}


def ingested(home: Home, options: SampleOptions) -> tuple[Tally, dict[str, FeedReport]]:
    tally = write_sample(options, lambda objects, size: None, home.options).tally
    return tally, {report.feed: report for report in home.ingest().feeds}


def test_without_faults_every_record_is_a_row(home: Home, business: Any) -> None:
    tally, reports = ingested(home, business())
    assert {feed: (reports[feed].rows, reports[feed].quarantined) for feed in FEEDS} == {
        feed: (getattr(tally, feed), 0) for feed in FEEDS
    }
    assert min(tally.accounts, tally.subscriptions, tally.invoices) > 50


def test_with_all_faults_every_valid_line_is_a_row_and_every_invalid_one_in_quarantine(
    home: Home, business: Any
) -> None:
    tally, reports = ingested(home, business(**TROUBLE))
    records = tally.accounts + tally.subscriptions + tally.invoices
    assert sum(reports[feed].rows for feed in FEEDS) == records + tally.repeated
    assert sum(reports[feed].quarantined for feed in FEEDS) == tally.broken
    assert tally.broken == pytest.approx(0.1 * records, abs=30)
    assert tally.extended == pytest.approx(0.1 * records, abs=30)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("form", range(CHANGE_FORMS))
def test_each_broken_form_is_rejected(business: Any, feed: str, form: int) -> None:
    items = [item for item in objects(business()) if item.bucket == f"raw-{feed}"]
    good = [line for item in items[:20] for line in item.body.splitlines()][:6]
    bad = broken_change(good[2].decode(), form).encode("utf-8", "surrogateescape")
    data = b"\n".join([*good[:3], bad, *good[3:]]) + b"\n"
    parsed = Parser(contracts()[feed], [dt.datetime(2026, 11, 21, tzinfo=dt.UTC)]).parse([Piece(0, 1, data)])
    assert [reject.line for reject in parsed.rejects] == [4]
    assert parsed.rows.num_rows == len(good)


@pytest.mark.parametrize("feed", FEEDS)
def test_every_line_conforms_to_the_contract(business: Any, feed: str) -> None:
    data = b"".join(item.body for item in objects(business(unknown_fields=0.5)) if item.bucket == f"raw-{feed}")
    parsed = Parser(contracts()[feed], [dt.datetime(2026, 11, 21, tzinfo=dt.UTC)]).parse([Piece(0, 1, data)])
    assert parsed.rejects == []
    assert 0 < parsed.rows.column("_rescued_data").null_count < parsed.rows.num_rows == data.count(b"\n")
    for column in contracts()[feed].columns:
        assert parsed.rows.column(column.name).null_count < parsed.rows.num_rows
