"""`lake subject export`: everything about one person, nothing of anybody else, and no trace of who it was."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, read_settings, settings
from pipeline.access.classes import Classed
from pipeline.access.subjects import Subject, named_identifiers
from pipeline.checks.subject import SubjectSearch
from pipeline.checks.subject_tables import TableSearch
from pipeline.cli import main
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.subject_export import EXPORTED, without_others
from pipeline.dev.sampling import write_sample
from pipeline.lake import Lake
from pipeline.warehouse.classes import project_classes
from sample.options import SampleOptions
from tests.home import Home, copy_home, template

END = dt.date(2026, 3, 31)
BAD = {"name": "activity_exit", "occurred_at": "never", "data": {"activity_id": "a1"}}


def event(key: str, user: str, child: str, **more: Any) -> dict[str, Any]:
    return {"event_id": key, "name": "activity_exit", "occurred_at": "2026-03-30 10:00:00", "user_id": user} | {
        "child_id": child,
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        **more,
    }


def click(key: str, visitor: str, customer: int | None, minute: int) -> dict[str, Any]:
    at = f"2026-03-30T10:{minute:02d}:00Z"
    who = {"visitor_id": visitor, "customer_id": customer, "user_agent": "Mozilla/5.0"}
    return {"event_id": key, "event_type": "view", "occurred_at": at} | who


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A release of all domains: the sample, and a family whose account pays, with rejected records."""
    with template(tmp_path_factory.mktemp("published"), PROJECT) as home:
        options = SampleOptions(end=END, events=300, days=30, accounts=30, orders=40)
        write_sample(options, lambda objects, size: None, home.options)
        times = {"created_at": "2026-03-01T00:00:00Z", "updated_at": "2026-03-01T00:00:00Z"}
        home.put("users", "x.json", {"user_id": "ada-1", "children_ids": ["kid-1", "kid-2"], "country_code": "fr"})
        home.put("users", "y.json", {"user_id": "bob-1", "children_ids": ["kid-3"], "country_code": "fr"})
        home.put("accounts", "x.json", {"account_id": "acc-ada", "user_id": "ada-1", "name": "Ada", **times})
        home.put("accounts", "y.json", {"account_id": "acc-bob", "user_id": "bob-1", "name": "Bob", **times})
        home.put(
            "events",
            "x.json",
            event("x1", "ada-1", "kid-1", mood="fine"),
            event("x2", "ada-1", "kid-2"),
            event("x3", "bob-1", "kid-3"),
            event("x4", "bob-1", "kid-3", invited_by="ada-1"),
            BAD | {"event_id": "x5", "user_id": "ada-1"},
            BAD | {"event_id": "x6", "user_id": "bob-1"},
            BAD | {"event_id": "x7", "user_id": "bob-1", "friend": "ada-1"},
        )
        clicks = [click("k1", "dev-1", 4, 1), click("k2", "dev-1", None, 2), click("k3", "dev-1", 5, 45)]
        home.put("clickstream", "x.json", *clicks)
        home.ingest()
        home.plan()
        done = run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)
        assert done.outcome == "published"
    return home


@pytest.fixture
def here(published: Home, home: Home, tmp_path: Path) -> Path:
    """A copy of that lake; the folder for exports."""
    copy_home(published, home)
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


def export(folder: Path, *named: str, more: tuple[str, ...] = ()) -> Result:
    settings.cache_clear()
    subjects = [part for name in named for part in ("--subject", name)]
    return CliRunner().invoke(main, ["subject", "export", *subjects, "--to", str(folder), *more])


def read(path: Path) -> list[dict[str, Any]]:
    """The records of an export, of which both forms have to say the same."""
    if not path.with_name(f"{path.name}.json").exists():
        return []
    records: list[dict[str, Any]] = json.loads(path.with_name(f"{path.name}.json").read_text())
    with path.with_name(f"{path.name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert list(row) == list(record)
        for name, value in record.items():
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else str(value)
            assert row[name] == ("" if value is None else text)
    return records


def test_account_is_exported_with_its_children_and_what_it_pays(here: Path) -> None:
    result = export(here / "ada", "user_id=ada-1", more=("--because", "request 17"))
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads((here / "ada" / "summary.json").read_text())
    assert [(item["identifier"], item["value"], item["found_in"]) for item in summary["identifiers"]] == [
        ("account_id", "acc-ada", "accounts"),
        ("user_id", "ada-1", "the request"),
    ]
    feeds = here / "ada" / "feeds"
    events = read(feeds / "events")
    assert [(item["event_id"], item["child_id"], item["by"]) for item in events] == [
        ("x1", "kid-1", ["user_id"]),
        ("x2", "kid-2", ["user_id"]),
    ]
    assert [(item["object"], item["line"]) for item in events] == [("raw-events/x.json", 1), ("raw-events/x.json", 2)]
    assert json.loads(events[0]["rescued"]) == {"mood": "fine"}
    assert [item["children_ids"] for item in read(feeds / "users")] == [["kid-1", "kid-2"]]
    assert [item["name"] for item in read(feeds / "accounts")] == ["Ada"]
    (rejected,) = read(here / "ada" / "rejected" / "events")
    assert json.loads(rejected["record"])["event_id"] == "x5"
    assert [(item["where"], item["line"]) for item in read(here / "ada" / "for_review")] == [
        *(("bronze", 4), ("quarantine", 7))
    ]
    tables = here / "ada" / "tables"
    assert [item["account_id"] for item in read(tables / "gold.dim_account")] == ["acc-ada"]
    kinds = [item["user_kind"] for item in read(tables / "gold.fct_active_users_daily")]
    assert sorted(kinds) == ["account", "child", "child"]
    (described,) = (item for item in summary["feeds"] if item["feed"] == "accounts")
    assert described["processing"]["legal_basis"] == "contract"
    assert (described["rows"], described["columns"]["email"]) == (1, "Email address for invoices.")
    everything = b"".join(path.read_bytes() for path in (here / "ada").rglob("*.*"))
    assert b"bob" not in everything.lower()
    assert b"kid-3" not in everything


def test_files_are_of_their_user_alone_and_nothing_is_overwritten(here: Path) -> None:
    os.umask(umask := os.umask(0))
    assert export(here / "ada", "user_id=ada-1").exit_code == 0
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (here / "ada").rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (here / "ada", here / "ada" / "feeds")}
    assert (modes, folders, umask) == ({0o600}, {0o700}, umask)
    before = {path: path.read_bytes() for path in here.rglob("*.*")}
    again = export(here / "ada", "user_id=bob-1")
    assert (again.exit_code, "exists; expected a new folder" in again.stderr) == (2, True)
    assert {path: path.read_bytes() for path in here.rglob("*.*")} == before
    assert export(here / "none" / "ada", "user_id=ada-1").exit_code == 2


def test_audit_log_and_output_do_not_say_who(here: Path) -> None:
    result = export(here / "x", "user_id=ada-1", "customer_id=4", more=("--because", "request 17", "--json"))
    assert json.loads(result.stdout)["identifiers"] == {
        "account_id": 1,
        "customer_id": 1,
        "user_id": 1,
        "visitor_id": 1,
    }
    log = Lake(read_settings()).audit_log
    entry = log.newest()
    assert entry is not None
    assert (entry.what, entry.about["because"]) == (EXPORTED, "request 17")
    assert entry.about["identifiers"] == {"account_id": 1, "customer_id": 1, "user_id": 1, "visitor_id": 1}
    assert entry.about["rows"] == sum(json.loads(result.stdout)["feeds"].values()) > 0
    said = result.stdout + result.stderr + json.dumps(dict(entry.about)) + export(here / "y", "user_id=ada-1").stdout
    for value in ("ada-1", "acc-ada", "dev-1"):
        assert value not in said
    assert len([event for event in log.events() if event.what == EXPORTED]) == 2


def test_a_child_gets_its_own_data_alone(here: Path) -> None:
    assert export(here / "kid", "child_id=kid-1").exit_code == 0
    assert [item["event_id"] for item in read(here / "kid" / "feeds" / "events")] == ["x1"]
    assert [item["children_ids"] for item in read(here / "kid" / "feeds" / "users")] == [["kid-1", "***"]]
    (played,) = read(here / "kid" / "tables" / "gold.fct_active_users_daily")
    assert played["user_kind"] == "child"
    everything = b"".join(path.read_bytes() for path in (here / "kid").rglob("*.*"))
    assert b"kid-2" not in everything


def test_a_customer_gets_what_nobody_else_did_on_the_same_device(here: Path) -> None:
    result = export(here / "four", "customer_id=4")
    assert result.exit_code == 0
    clicks = [item for item in read(here / "four" / "feeds" / "clickstream") if item["visitor_id"] == "dev-1"]
    assert [item["event_id"] for item in clicks] == ["k1", "k2"]
    sessions = read(here / "four" / "tables" / "gold.fct_sessions")
    assert [item["customer_id"] for item in sessions if item["started_at"].startswith("2026-03-30T10")] == [4]
    assert {item["customer_id"] for item in sessions} <= {4, None}


def test_every_row_of_a_customer_is_exported(here: Path, home: Home) -> None:
    context = home.context()
    try:
        fetch = context.engine_adapter.fetchall
        ordered = "SELECT customer_id FROM silver.current_orders WHERE NOT customer_id IS NULL"
        ((customer,),) = fetch(f"{ordered} GROUP BY customer_id ORDER BY COUNT(*) DESC, customer_id LIMIT 1")
        own = f"customer_id = {customer}"
        of_orders = f"order_id IN (SELECT order_id FROM bronze.orders WHERE {own})"
        expected = {
            "tables/gold.fct_orders": fetch(f"SELECT order_id FROM silver.current_orders WHERE {own}"),
            "tables/gold.fct_customer_monthly": fetch(f"SELECT customer_id FROM gold.fct_customer_monthly WHERE {own}"),
            "tables/gold.dim_customer": fetch(f"SELECT customer_id FROM gold.dim_customer WHERE {own}"),
            "feeds/customers": fetch(f"SELECT customer_id FROM bronze.customers WHERE {own}"),
            "feeds/orders": fetch(f"SELECT order_id FROM bronze.orders WHERE {own}"),
            "feeds/order_items": fetch(f"SELECT order_id FROM bronze.order_items WHERE {of_orders}"),
            "feeds/payments": fetch(f"SELECT order_id FROM bronze.payments WHERE {of_orders}"),
        }
    finally:
        home.close(context)
    assert export(here / "c", f"customer_id={customer}").exit_code == 0
    for name, rows in expected.items():
        key = "customer_id" if "customer" in name else "order_id"
        assert sorted(item[key] for item in read(here / "c" / name)) == sorted(found for (found,) in rows), name
    sold = {item["order_id"] for item in read(here / "c" / "tables" / "gold.fct_sales")}
    assert sold <= {order for (order,) in expected["tables/gold.fct_orders"]}


def test_every_table_with_a_key_of_a_person_is_searched(here: Path, project: Any) -> None:
    """No table that lineage leads to from an identifier stays without rows of anybody."""
    lake = Lake(read_settings())
    classes = project_classes(project).columns
    release = lake.releases.current()
    assert release is not None
    identifying = {f"bronze.{feed}.{path}" for feed, contract in contracts().items() for path in contract.identifiers()}
    wanted = {
        table
        for table in release.tables
        if release.tables[table].rows
        for known in classes.get(table, dict[str, Classed]()).values()
        if known.class_.is_restricted and known.origins & identifying
    }
    found: set[str] = set()
    with lake.releases.connect() as reader:
        accounts = reader.execute("SELECT MIN(account_id) FROM gold.fct_mrr_movements").fetchall()
        customers = reader.execute("SELECT DISTINCT customer_id FROM gold.fct_acquisitions LIMIT 5").fetchall()
    named = [f"account_id={accounts[0][0]}", "user_id=ada-1", *(f"customer_id={key}" for (key,) in customers)]
    with lake.connect() as connection, lake.releases.connect() as reader:
        search = SubjectSearch(lake.store, contracts(), connection)
        for name in named:
            subject = search.closure(named_identifiers([name], contracts().values()))
            tables = TableSearch(release, reader, classes, search, subject)
            found |= {table for table in tables.tables() if next(tables.rows(table), None)}
    assert found == wanted


def test_nobody_leaves_no_folder_and_no_entry(here: Path) -> None:
    result = export(here / "nobody", "user_id=nobody-1", "customer_id=987654321")
    assert result.exit_code == 1
    assert result.stdout.strip().endswith(
        "1 customer_id, 1 user_id: no feed, no quarantine and no table of release 1 has a record; no folder was made"
    ), result.stdout
    assert not (here / "nobody").exists()
    assert Lake(read_settings()).audit_log.last(EXPORTED) is None


def test_an_identifier_that_no_contract_has_is_named_with_those_that_they_have(here: Path) -> None:
    result = export(here / "x", "email=ada@example.com")
    assert result.exit_code == 2
    assert "no contract has an identifier email; expected IDENTIFIER=VALUE with one of account_id, child_id," in (
        result.stderr
    )
    assert "ada@" not in result.output
    assert not (here / "x").exists()


def test_a_failed_export_leaves_nothing(here: Path, home: Home) -> None:
    for path in (home.options_home / "lake" / "quarantine").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-40])
    result = export(here / "x", "user_id=ada-1")
    assert result.exit_code == 1
    assert "ada-1" not in result.output
    assert not (here / "x").exists()
    assert Lake(read_settings()).audit_log.last(EXPORTED) is None


def test_other_children_of_an_account_are_hidden_from_one_of_them() -> None:
    users = contracts()["users"]
    row = {"user_id": "u1", "children_ids": ["a", None, "b"], "country_code": "fr"}
    child = Subject({"child_id": frozenset({"b"})}, {})
    assert without_others(users, row, child)["children_ids"] == ["***", None, "b"]
    account = Subject({"user_id": frozenset({"u1"})}, {})
    assert without_others(users, row, account) == row
