"""Roles of a real lake: what pyarrow, Postgres and the pages show of each table is exactly what the file says."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ingest.contracts.classes import Class
from ingest.settings import PROJECT, read_settings, settings
from pipeline.cli import main
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.dev.sampling import write_sample
from pipeline.lake import Lake
from pipeline.portal import assets
from pipeline.portal.script import read_data_file
from pipeline.releases.release import Releases
from pipeline.releases.roles import settings_of
from pipeline.warehouse.classes import Classes, project_classes
from sample.options import SampleOptions
from tests.home import Home, copy_project, keep_domain, use_project
from tests.postgres_server import Postgres

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
END, KEY, LEAST = dt.date(2026, 3, 20), "the analysts' key of today", 10
ROLES = f"""
roles:
  - name: analyst
    description: Analysts, who follow customers without knowing who they are.
    owner: platform
    tables: [gold.*]
    except: [gold.q?_*]
    classes: {{direct: hash}}
    columns:
      - {{names: [gold.dim_account.account_key], show: {{partial: 3}}}}
      - {{names: [gold.fct_mrr_daily.mrr], show: {{bucket: 10}}}}
    minimum_group_size: {LEAST}
  - name: germany
    description: The German team, which sees its country.
    owner: platform
    tables: [gold.activity_engagement_metrics*, gold.dim_account]
    rows:
      - {{tables: [gold.activity_engagement_metrics*], where: country_code = 'de'}}
      - {{tables: [gold.dim_account], where: country_code = 'de'}}
    minimum_group_size: 1
"""
PERSONS = {"gold.dim_account": "account_id", "gold.fct_active_users_daily": "user_key"}
"""Tables with a quasi-identifying column whose rows are of persons, and the column that says of whom."""


def cycle() -> RunSummary:
    settings.cache_clear()
    summary = run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)
    assert [error for error in summary.errors if "quarantined" not in error] == []
    return summary


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with engagement and revenue, two roles, and the pages of both domains."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "roles")
    keep_domain(folder, "engagement", "revenue", "analytics")
    for name in ("metrics", "dashboards"):
        (folder / name).mkdir()
    for name in ("engagement", "revenue"):
        shutil.copy(PROJECT / "metrics" / f"{name}.yaml", folder / "metrics")
    shutil.copy(PROJECT / "dashboards" / "engagement.yaml", folder / "dashboards")
    (folder / "access").mkdir()
    (folder / "access" / "roles.yaml").write_text(ROLES)
    return folder


@pytest.fixture
def home(
    project: Path, postgres_server: Postgres, clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    use_project(project, monkeypatch)
    database = f"bi_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    given = {name.removeprefix("PG").lower(): value for name, value in postgres_server.variables.items()}
    monkeypatch.setenv("SERVING_DSN", str(psycopg2.extensions.make_dsn(**given, dbname=database)))
    monkeypatch.setenv("LAKE_START", "2026-02-15")
    monkeypatch.setenv("LAKE_ROLE_KEYS", json.dumps({"analyst": KEY}))
    made = Home()
    sample = SampleOptions(END, events=1500, days=20, accounts=60)
    write_sample(sample, lambda objects, size: None)
    made.ingest()
    made.plan()
    yield made
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


def stored(releases: Releases, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a table of the current release, by pyarrow from its files."""
    release = releases.current()
    assert release is not None
    names = [name for name, _, _ in release.tables[table].columns]
    rows: list[tuple[Any, ...]] = []
    for file in release.tables[table].files:
        found = pq.read_table(f"{releases.store.root}/{file.key}")
        rows += zip(*(found[name].to_pylist() for name in names), strict=True) if len(found) else []
    return names, rows


def hashed(subjects: frozenset[str], value: Any) -> str | None:
    text = f"{','.join(sorted(subjects))}:{value}"
    return None if value is None else hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def seen_by_analysts(classes: Classes, table: str, names: list[str], rows: list[tuple[Any, ...]]) -> Counter[Any]:
    """What the file says that analysts see of clear rows."""
    size = classes.size_column(table)
    shown, persons = [], []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        persons.append(values.get(PERSONS.get(table, "")))
        if size and values[size] < LEAST:
            continue
        for name, value in values.items():
            known = classes.of(table, name)
            if (table, name) == ("gold.dim_account", "account_key"):
                values[name] = value[: min(3, len(value) // 2)] + "…"
            elif (table, name) == ("gold.fct_mrr_daily", "mrr"):
                values[name] = value // 10 * 10
            elif known.class_ is Class.DIRECT:
                values[name] = hashed(known.subjects, value)
            elif known.class_ is Class.SENSITIVE:
                values[name] = None
        shown.append(values)
    quasi = [name for name in names if classes.of(table, name).class_ is Class.QUASI]
    if table in PERSONS:
        month = [values["date"].strftime("%Y-%m") if "date" in values else "" for values in shown]
        groups = [(part, *(values[name] for name in quasi)) for part, values in zip(month, shown, strict=True)]
        sizes = Counter(group for group, _ in set(zip(groups, persons, strict=True)))
        for group, values in zip(groups, shown, strict=True):
            if sizes[group] < LEAST:
                values |= dict.fromkeys(quasi)
    return Counter(tuple(values.values()) for values in shown)


def test_each_role_sees_what_the_file_says(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = cycle()
    assert summary.outcome == "published"
    assert {made.role for made in summary.roles} == {"analyst", "germany"}
    options = read_settings()
    everything = Releases(options)
    context = home.context()
    classes = project_classes(context)
    home.close(context)
    analyst, germany = (Releases(settings_of(options, name)) for name in ("analyst", "germany"))
    clear, own = everything.current(), analyst.current()
    assert clear is not None
    assert own is not None
    assert own.number == clear.number

    # analysts: every table and column, by pyarrow
    tables = [name for name in clear.tables if name.startswith("gold.") and not name.startswith("gold.q")]
    assert set(own.tables) == set(tables)
    compared = 0
    for table in tables:
        if clear.tables[table].query or clear.tables[table].rollup:
            continue
        names, rows = stored(everything, table)
        assert stored(analyst, table)[0] == names
        assert Counter(stored(analyst, table)[1]) == seen_by_analysts(classes, table, names, rows), table
        compared += len(rows)
    assert compared > 1000
    daily, weekly = (stored(analyst, f"gold.activity_engagement_metrics{part}") for part in ("", "_weekly"))
    played = daily[0].index("activities_played"), weekly[0].index("activities_played")
    assert sum(row[played[0]] for row in daily[1]) == sum(row[played[1]] for row in weekly[1]) > 0

    # Germany: its rows, and no customer's key
    names, rows = stored(everything, "gold.activity_engagement_metrics")
    country = names.index("country_code")
    assert Counter(stored(germany, "gold.activity_engagement_metrics")[1]) == Counter(
        row for row in rows if row[country] == "de"
    )
    names, rows = stored(germany, "gold.dim_account")
    assert {row[names.index("country_code")] for row in rows} == {"de"}
    assert {row[names.index("account_id")] for row in rows} == {None}

    # Postgres has the same rows in schemas of their own
    with psycopg2.connect(options.serving_dsn) as session, session.cursor() as cursor:
        for schema, releases in (("gold_analyst", analyst), ("gold_germany", germany)):
            current = releases.current()
            assert current is not None
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
            served = {f"gold.{name}" for (name,) in cursor.fetchall()} - {"gold.lakemesh_state"}
            assert served == set(current.tables)
            for table in ("gold.dim_account", "gold.activity_engagement_metrics", "gold.fct_mrr_daily"):
                if table in current.tables:
                    names, rows = stored(releases, table)
                    columns = ", ".join(f'"{name}"' for name in names)
                    cursor.execute(f"SELECT {columns} FROM {schema}.{table.split('.')[1]}")
                    assert Counter(map(str, cursor.fetchall())) == Counter(map(str, rows)), table

    # a rollback moves them too, files and schemas
    with psycopg2.connect(options.serving_dsn) as session, session.cursor() as cursor:
        cursor.execute("DROP SCHEMA gold_germany CASCADE")
    assert CliRunner().invoke(main, ["publish", "--to", str(clear.number)]).exit_code == 0
    assert germany.pointer()["held"]
    with psycopg2.connect(options.serving_dsn) as session, session.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM gold_germany.dim_account")
        assert cursor.fetchone() == (len(stored(germany, "gold.dim_account")[1]),)

    # no clear key of anybody in any file of theirs, pages included
    names, rows = stored(everything, "gold.dim_account")
    keys = {row[names.index("account_id")] for row in rows}
    assert len(keys) > 20
    for releases in (analyst, germany):
        assert releases.store.root is not None
        for path in releases.store.root.rglob("*.parquet"):
            found = {value for column in pq.read_table(path).columns for value in map(str, column.to_pylist())}
            assert not found & keys, path
    if assets.is_installed():
        shown = read_data_file((analyst.store.root / "portal" / "current.js").read_bytes())  # type: ignore[operator]
        assert [page["name"] for page in shown["pages"]] == ["engagement"]
        text = b"".join(path.read_bytes() for path in (analyst.store.root / "portal").rglob("*.js"))  # type: ignore[operator]
        assert not any(key.encode() in text for key in keys)

    # a page whose numbers would be of masked values is left out
    if assets.is_installed():
        masked = "{names: [gold.activity_engagement_metrics*.activities_played], show: {bucket: 10}}"
        (project / "access" / "roles.yaml").write_text(ROLES.replace("    columns:", f"    columns:\n      - {masked}"))
        cycle()
        shown = read_data_file((analyst.store.root / "portal" / "current.js").read_bytes())  # type: ignore[operator]
        assert shown["pages"] == []
        (project / "access" / "roles.yaml").write_text(ROLES)
        cycle()

    # nothing new costs nothing; another key is noticed; a removed role leaves nothing
    assert cycle().roles == []
    monkeypatch.setenv("LAKE_ROLE_KEYS", json.dumps({"analyst": "the analysts' key of tomorrow"}))
    rotated = cycle()
    assert [(made.role, made.has_new_key) for made in rotated.roles] == [("analyst", True)]
    (project / "access" / "roles.yaml").write_text(ROLES.split("  - name: germany")[0])
    assert cycle().removed_roles == ["germany"]
    assert germany.pointer() == {}
    with psycopg2.connect(options.serving_dsn) as session, session.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gold_germany'")
        assert {name for (name,) in cursor.fetchall()} <= {"lakemesh_state"}
