"""Back-ups between buckets of a real S3 server, with the state in a real Postgres."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.settings import settings
from pipeline.backup.place import Backups
from pipeline.cli import main
from pipeline.dev.init_s3 import create_buckets
from pipeline.lake import Lake
from tests.engagement import cycle, play, seen
from tests.home import Home
from tests.postgres_server import Postgres

PLACE = "s3://back-ups/of/the/lake"
TABLES = (
    "SELECT table_schema || '.' || table_name FROM information_schema.tables "
    "WHERE table_schema IN ('sqlmesh', 'lakemesh') ORDER BY 1"
)


@pytest.fixture
def remote(
    conditional_home: Home, engagement: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Home:
    pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
    use(monkeypatch, postgres_server, LAKE_GATEWAY="postgres_state", PUBLISHED_URI="s3://lake/published")
    for name, value in postgres_server.variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    create_buckets(settings(), ["back-ups", "other"], 10)
    return Home()


def use(monkeypatch: pytest.MonkeyPatch, server: Postgres, **variables: str) -> str:
    """Point the settings to a new database for the state, and to other places."""
    database = f"state_{uuid.uuid4().hex}"
    server.sql("postgres", f"CREATE DATABASE {database}")
    for name, value in ({"PGDATABASE": database} | variables).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return database


def done(*arguments: str) -> Any:
    settings.cache_clear()
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output + result.stderr
    return json.loads(result.stdout)


def rows_of(server: Postgres, database: str) -> dict[str, list[str]]:
    """The rows of the state, and what defines its tables."""
    names = server.sql(database, TABLES).split()
    found = {name: sorted(server.sql(database, f"SELECT t::TEXT FROM {name} AS t").splitlines()) for name in names}
    defined = "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('sqlmesh', 'lakemesh')"
    return found | {"indexes": sorted(server.sql(database, defined).splitlines())}


def test_a_lake_on_s3_with_its_state_in_postgres_comes_back_elsewhere(
    remote: Home, postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 4):
        remote.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"), b"{broken")
    remote.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    remote.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
    remote.ingest()
    remote.plan()
    assert cycle(remote).errors == []
    source = settings()
    first = done("backup", "--to", PLACE, "--warehouse")
    assert first["about"]["state"] == "postgres"
    done("backup", "--to", PLACE)
    again = done("backup", "--to", PLACE)
    assert again["put_objects"] == 0  # the same state has the same bytes
    assert not any(item.key.startswith("published/") for item in Backups(PLACE, source).get().of("lake"))
    state, shown = rows_of(postgres_server, source.pgdatabase), seen(remote)
    drilled = done("drill", "--from", PLACE)
    assert drilled["differences"] == []
    assert {"gold.activity_engagement_metrics", "gold.rpt_retention"} <= {item["name"] for item in drilled["tables"]}

    other = use(
        monkeypatch,
        postgres_server,
        LAKE_URI="s3://other/lake",
        PUBLISHED_URI="s3://other/published",
        LAKE_HOME=str(tmp_path / "elsewhere"),
    )
    restored = done("restore", "--from", PLACE, "--backup", "1")
    assert (restored["has_state"], restored["has_warehouse"], restored["has_release"]) == (True, True, True)
    counted = {"lakemesh.collected": []}  # by the lock of that back-up, when it was released
    assert rows_of(postgres_server, other) | counted == state | counted
    home = Home()
    assert seen(home) == shown
    assert done("run")["errors"] == []
    remote.put("events", "late.json", play("late", "2026-01-02"))
    summary = cycle(home)
    assert (summary.errors, summary.outcome) == ([], "published")
    assert sum(row[0] for row in seen(home).values()) == 4
    assert Lake(home.options).ledger("events").position() == 2
    result = CliRunner().invoke(main, ["restore", "--from", PLACE])
    assert (result.exit_code, "is not empty" in result.stderr) == (2, True), result.output
