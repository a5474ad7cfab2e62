"""The example of docs/sources.md: dlt reads an API of pages into the landing, feeds load it, kills lose nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import load_contract
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from tests.crm import TOKEN, Crm, serve_crm

EXAMPLE = PROJECT / "docs" / "examples" / "crm"
FEEDS = ("contacts", "calls")
SILVER = """
    SELECT {columns} FROM ({bronze}) QUALIFY ROW_NUMBER() OVER (
      PARTITION BY {version} ORDER BY _source_modified_at DESC, _source_file DESC, _source_line DESC
    ) = 1 ORDER BY {version}
"""
"""The rule of silver's models: of rows of one version of a key the one from the newest object counts."""

pytestmark = pytest.mark.skipif(find_spec("dlt") is None, reason="dlt is not installed, the extra `sources`")


class Sources:
    """A CRM, the example's pipeline and a lake with the example's contracts."""

    def __init__(self, folder: Path, crm: Crm) -> None:
        self.crm = crm
        self.folder = folder
        self.landing = folder / "home" / "landing" / "raw-saas" / "crm"
        self.state = folder / "dlt"
        self.contracts = {feed: load_contract(EXAMPLE / f"{feed}.yaml") for feed in FEEDS}
        (folder / "dotenv").touch()
        own = folder / "project" / "ingest" / "contracts" / "crm"
        own.mkdir(parents=True)
        for feed in FEEDS:
            shutil.copy(EXAMPLE / f"{feed}.yaml", own)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_", "DLT_"))}
        self.environment = kept | {
            "LAKE_PROJECT": str(folder / "project"),
            "LAKE_HOME": str(folder / "home"),
            "SQLMESH_DOTENV_PATH": str(folder / "dotenv"),
            "PYTHONPATH": str(PROJECT),
            "DLT_DATA_DIR": str(self.state),
            "CRM_URL": crm.url,
            "CRM_TOKEN": TOKEN,
            "CRM_LANDING": str(self.landing.parent),
        }

    def start(self, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(EXAMPLE / "pipeline.py")],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read(self) -> None:
        """Run the example's pipeline."""
        process = self.start()
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output

    def lake(self, *arguments: str) -> Any:
        """Run a command of the lake, and return what it prints as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments, "--json"],
            cwd=self.folder / "project",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ingest(self) -> dict[str, dict[str, Any]]:
        return {report["feed"]: report for report in self.lake("ingest")["feeds"]}

    def objects(self, feed: str) -> list[Path]:
        return sorted(path for path in (self.landing / feed).rglob("*") if path.is_file())

    def silver(self, feed: str, version: str, columns: str) -> list[tuple[Any, ...]]:
        """The rows of bronze after the rule of silver."""
        lake = Store(str(self.folder / "home" / "lake"))
        bronze = bronze_query(self.contracts[feed], lake.uri, Ledger(lake, feed).state().bronze_files())
        return duckdb.sql(SILVER.format(columns=columns, bronze=bronze, version=version)).fetchall()

    def versions(self) -> list[tuple[str, str]]:
        """Key and name of each version of a contact."""
        return self.silver("contacts", "contact_id, updated_at", "contact_id, name")

    def calls(self) -> list[str]:
        return [key for (key,) in self.silver("calls", "call_id, event_date", "call_id")]


def contact(number: int, name: str = "first", day: int = 1) -> dict[str, Any]:
    return {
        "contact_id": f"c{number:03d}",
        "name": name,
        "balance": f"{number}.50",
        "tags": ["lead", "newsletter"],
        "address": {"city": "Lyon", "country_code": "FR"},
        "updated_at": f"2026-03-{day:02d}T10:{number:02d}:00.250Z",
    }


def call(number: int, day: int = 1) -> dict[str, Any]:
    return {
        "call_id": f"k{number:03d}",
        "contact_id": f"c{number % 25:03d}",
        "seconds": number * 7,
        "started_at": f"2026-03-{day:02d}T11:{number:02d}:00Z",
    }


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    with serve_crm() as crm:
        crm.put("contacts", *map(contact, range(25)))
        crm.put("calls", *map(call, range(35)))
        yield Sources(tmp_path, crm)


def keys(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:03d}" for number in range(count)]


def test_pages_become_rows_and_a_second_run_brings_what_is_new(sources: Sources) -> None:
    # GIVEN an API of several pages that once is not available
    failures = iter([503])
    sources.crm.before = lambda endpoint, page: next(failures, None) if (endpoint, page) == ("contacts", 2) else None

    # WHEN it is read and loaded
    sources.read()
    assert sorted(sources.crm.asked) == [("calls", page) for page in (1, 2, 3, 4)] + [
        ("contacts", page) for page in (1, 2, 3)
    ]
    reports = sources.ingest()

    # THEN every record is a row, and dlt's own files are none
    assert {feed: (item["rows"], item["quarantined"]) for feed, item in reports.items()} == {
        "contacts": (25, 0),
        "calls": (35, 0),
    }
    assert sources.versions() == [(key, "first") for key in keys("c", 25)]
    assert sources.calls() == keys("k", 35)
    ((balance, tags, city),) = sources.silver("contacts", "contact_id", "balance::TEXT, tags, address.city")[7:8]
    assert (balance, tags, city) == ("7.50", ["lead", "newsletter"], "Lyon")

    # AND a contract that is inferred from the files accepts all of them
    for feed, count in (("contacts", 25), ("calls", 35)):
        found = sources.lake("contracts", "infer", f"crm/{feed}_again", str(sources.landing / feed), "--stdout")
        assert (found["records"], found["share"]) == (count, 1.0)

    # AND another run asks for what changed alone, and writes that alone
    sources.crm.put("contacts", contact(3, "second", day=2), contact(25, day=2))
    sources.crm.put("calls", call(35, day=2))
    sources.crm.asked.clear()
    sources.read()
    assert sorted(sources.crm.asked) == [("calls", 1), ("contacts", 1)]
    reports = sources.ingest()
    assert {feed: item["rows"] for feed, item in reports.items()} == {"contacts": 2, "calls": 1}
    assert sources.versions() == sorted([*((key, "first") for key in keys("c", 26)), ("c003", "second")])
    assert sources.calls() == keys("k", 36)

    # AND a run without news writes nothing
    before = [sources.objects(feed) for feed in FEEDS]
    sources.read()
    assert [sources.objects(feed) for feed in FEEDS] == before


def test_killed_runs_lose_and_double_nothing(sources: Sources) -> None:
    # GIVEN a run that is killed between two pages
    process = sources.start()

    def kill(endpoint: str, page: int) -> None:
        if page == 2:
            process.kill()

    sources.crm.before = kill
    assert process.wait(60) == -9
    process.stdout.close()
    assert [sources.objects(feed) for feed in FEEDS] == [[], []]

    # AND one that is killed while it writes objects, one of which is loaded
    sources.crm.before = lambda endpoint, page: None
    small = {
        f"{step}DATA_WRITER__{limit}_MAX_ITEMS": "4" for step in ("", "NORMALIZE__") for limit in ("FILE", "BUFFER")
    }
    process = sources.start(LOAD__WORKERS="1", **small)
    deadline = time.monotonic() + 60
    while not any(sources.objects(feed) for feed in FEEDS):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.001)
    process.kill()
    process.communicate()
    written = sum(len(sources.objects(feed)) for feed in FEEDS)
    assert 0 < written < 60 / 4
    sources.ingest()

    # WHEN a contact has changed and the pipeline runs again
    sources.crm.put("contacts", contact(3, "second", day=2))
    sources.read()
    sources.ingest()

    # THEN nothing is lost and nothing twice
    current = sorted([*((key, "first") for key in keys("c", 25)), ("c003", "second")])
    assert sources.versions() == current
    assert sources.calls() == keys("k", 35)

    # AND a run that has lost its working folder finds in the landing how far it had read
    before = [sources.objects(feed) for feed in FEEDS]
    shutil.rmtree(sources.state)
    sources.read()
    assert [sources.objects(feed) for feed in FEEDS] == before

    # AND one that has lost both reads all again, which changes nothing
    shutil.rmtree(sources.state)
    for path in (sources.landing / "_dlt_pipeline_state").iterdir():
        path.unlink()
    sources.read()
    assert {feed: report["rows"] for feed, report in sources.ingest().items()} == {"contacts": 25, "calls": 35}
    assert sources.versions() == current
    assert sources.calls() == keys("k", 35)


def test_a_value_of_another_type_stops_the_run_until_its_load_is_aborted(sources: Sources) -> None:
    # GIVEN a field that was a number, and is text in one record
    sources.read()
    before = [sources.objects(feed) for feed in FEEDS]
    sources.crm.put("calls", call(40, day=2) | {"seconds": "long"}, call(41, day=2))
    sources.crm.put("contacts", contact(3, "second", day=2))

    # WHEN the API is read
    process = sources.start()
    output, _ = process.communicate(timeout=120)

    # THEN the run fails, names the record and writes nothing
    assert process.returncode == 1
    assert "`calls` Column: `seconds__v_text`" in output
    assert "call_id: k040" in output
    assert "Traceback" not in output
    assert [sources.objects(feed) for feed in FEEDS] == before

    # AND once it is corrected and the load is aborted, the records are read again
    sources.crm.put("calls", call(40, day=2))
    abort = [sys.executable, "-m", "dlt", "-y", "pipeline", "crm", "abort-packages"]
    subprocess.run(abort, cwd=sources.folder, env=sources.environment, capture_output=True, check=True, timeout=120)
    sources.read()
    sources.ingest()
    assert sources.versions() == sorted([*((key, "first") for key in keys("c", 25)), ("c003", "second")])
    assert sources.calls() == [*keys("k", 35), "k040", "k041"]
