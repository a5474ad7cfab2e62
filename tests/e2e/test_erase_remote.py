"""`lake erase` where nothing is on this disk but the warehouse: objects in S3, state and serving in PostgreSQL."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import settings
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import places_of
from pipeline.checks.traces.value import Value
from pipeline.cli import main
from pipeline.lake import Lake
from tests.engagement import cycle, play
from tests.home import Home
from tests.postgres_server import Postgres

KEY = "a secret of many characters"
PERSON, OTHER = "person-1-of-many", "person-2-of-many"


@pytest.fixture
def remote(
    conditional_home: Home,
    engagement: Path,
    postgres_server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Home:
    pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
    state, serving = (f"{name}_{uuid.uuid4().hex}" for name in ("state", "serving"))
    for database in (state, serving):
        postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    server = postgres_server.variables
    dsn = f"host={server['PGHOST']} port={server['PGPORT']} user={server['PGUSER']} dbname={serving}"
    wanted = {"LAKE_GATEWAY": "postgres_state", "PGDATABASE": state, "SERVING_DSN": dsn, "LAKE_ERASURE_KEY": KEY}
    wanted["PUBLISHED_URI"] = "s3://lake/published"
    for name, value in (wanted | server).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "temporary").mkdir()  # the server's own folder, with its WAL, is not searched
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    settings.cache_clear()
    return Home()


def lake(*arguments: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(main, arguments)


def traces(text: str) -> set[str]:
    handle = Lake(settings())
    places = places_of(handle.options, handle.store, handle.releases, rewritten=True)
    return {trace.place for trace in find_traces(places, [Value("person", text, group="one")]).traces}


def test_a_person_is_nowhere_afterwards(remote: Home) -> None:
    for number, user in enumerate((PERSON, OTHER)):
        records = [play(f"{user}-{day}", f"2026-01-0{day}", user) for day in range(1, 6)]
        remote.put("events", f"{number}.json", *records, {"event_id": "bad", "user_id": user, "occurred_at": "soon"})
        remote.put("users", f"{number}.json", {"user_id": user, "country_code": "fr"})
    remote.ingest()
    remote.plan()
    assert cycle(remote).errors == []
    assert remote.options.lake_uri.startswith("s3://")
    assert remote.options.published_uri.startswith("s3://")
    assert {"lake", "releases", "warehouse"} <= traces(PERSON)
    done = lake("erase", "--subject", f"user_id={PERSON}", "--because", "a letter", "--request", "r1", "--yes")
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert "everything was searched: no trace" in done.stdout
    assert traces(PERSON) == set()
    assert "warehouse" in traces(OTHER)
    assert cycle(remote).outcome == "unchanged"
