"""The catalog of a release has one format, whichever DuckDB writes it, and newer versions of DuckDB read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ingest.settings import Settings
from pipeline.releases.release import Releases, catalog_key
from tests.gold_states import GoldStates, Table

VERSION_1_0 = 64
"""The number of the format in the header, https://duckdb.org/docs/stable/internals/storage."""
NEWEST = "NEWEST_DUCKDB"
"""Names a Python with another version of DuckDB; `make newest` sets it."""
READ = """
import duckdb, json, sys
reader = duckdb.connect()
reader.execute(f"ATTACH '{sys.argv[1]}' AS lake (READ_ONLY)")
rows = reader.execute("FROM lake.gold.plays ORDER BY ALL").fetchall()
(comment,) = reader.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'plays'").fetchone()
print(json.dumps([duckdb.__version__, rows, comment], default=str))
"""


@pytest.fixture
def releases(clean_settings: Path) -> Releases:
    """One release with a table of three rows."""
    rows = "SELECT DATE '2026-01-01' + day::INT AS date, day * 2.5 AS hours FROM RANGE(3) AS days(day)"
    states = GoldStates(Settings(lake_home=str(clean_settings)))
    states.publish(plays=Table({"date": "DATE", "hours": "DECIMAL(18, 2)"}, {"": rows}))
    return states.published


def storage_version(path: Path) -> int:
    """The format of a DuckDB file: eight bytes of checksum, `DUCK`, then its number."""
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    return int.from_bytes(header[12:20], "little")


def read(python: str, catalog: Path) -> list[object]:
    """The version of a Python's DuckDB, and the rows and the description that it finds in a catalog."""
    done = subprocess.run([python, "-I", "-c", READ, catalog], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_catalogs_have_the_format_of_duckdb_1_0(releases: Releases, tmp_path: Path) -> None:
    found = [Path(releases.store.uri) / name for name in (catalog_key(1), "current.duckdb")]

    assert [storage_version(path) for path in found] == [VERSION_1_0] * 2
    with duckdb.connect() as other:  # GIVEN what a catalog would be without the choice of a format
        other.execute(f"ATTACH '{tmp_path}/latest.duckdb' AS latest (STORAGE_VERSION 'latest')")
    assert storage_version(tmp_path / "latest.duckdb") > VERSION_1_0


@pytest.mark.slow
@pytest.mark.skipif(NEWEST not in os.environ, reason=f"{NEWEST} is not set: make newest")
def test_another_duckdb_reads_what_this_one_does_and_changes_nothing(releases: Releases) -> None:
    catalog = Path(releases.store.uri) / "current.duckdb"
    before = catalog.read_bytes()
    version, *found = read(os.environ[NEWEST], catalog)
    here, *expected = read(sys.executable, catalog)
    print(f"catalog of DuckDB {here} read by DuckDB {version}")

    assert found == expected
    assert found[1] == "One row per thing."
    assert len(found[0]) == 3
    assert version != here
    assert catalog.read_bytes() == before
