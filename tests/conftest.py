"""Fixtures shared by several test folders."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.errors import ConfigError
from ingest.process import collect_rarely
from ingest.settings import PROJECT, settings
from pipeline.dev.browser import FLAGS
from pipeline.dev.browser import program as chromium
from pipeline.dev.local_s3 import project_buckets, serve
from tests.connect_server import Broker
from tests.home import Home, PostgresHome, copy_project, keep_domain, use_project
from tests.kafka import broker_or_skip
from tests.postgres_server import Postgres, serve_postgres
from tests.receivers import MailServer, Receiver, serve_mail, serve_receiver
from tests.s3_servers import SERVERS, serve_program

collect_rarely()
REFERENCE = PROJECT.parent / "shared" / "reference"
LONG = (
    *("e2e/", "fuzz/", "hostile/", "spark/", "test_wheel", "sample/test_sample_cli"),
    *(
        "audits/test_audits_by_what_changed",
        "ingest/steps/test_bad_lines",
        *("ingest/topics/test_gaps", "ingest/topics/test_load", "ingest/topics/test_values"),
        "mutants/",
        "pipeline/alerting/",
        *("pipeline/checks/test_topics", "pipeline/dev/test_sample_topics"),
        "pipeline/api/",
        *("pipeline/checks/traces/test_places", "pipeline/checks/traces/test_postgres"),
        "pipeline/cycle/",
        "pipeline/monitoring/test_a_cycle",
        "deploy/",
        "pipeline/portal/test_numbers",
        "pipeline/portal/test_pages",
        "pipeline/releases/test_full_audit",
        "pipeline/serving/",
        "pipeline/state/",
        "pipeline/warehouse/by_key/test_revenue_",
        "pipeline/warehouse/changes/test_orders",
    ),
    *(f"pipeline/invalidation/test_{name}" for name in ("completeness", "domain_", "late_", "unchanged")),
)
"""Files whose tests take many seconds each, by the beginnings of their paths: `make test` skips them."""
SETTINGS = ("AWS_", "KAFKA_", "LAKE_", "METRICS_", "OPENLINEAGE_", "PG", "SERVING_", "STATE_LOCK_")
"""Beginnings of variables that a test must not inherit."""
LONGEST = ("spark/test_parity", "spark/test_spark", "e2e/", "spark/", "pipeline/state/", "hostile/")
"""Those that take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of LONG, and run them first: a long file that starts last would keep one worker busy alone."""
    here = Path(__file__).parent
    order: dict[pytest.Item, int] = {}
    for item in items:
        name = item.path.relative_to(here).as_posix()
        order[item] = next((place for place, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST) + 1)
        if name.startswith(LONG):
            item.add_marker(pytest.mark.long)
            order[item] = min(order[item], len(LONGEST))
    items.sort(key=order.__getitem__)


@pytest.fixture
def clean_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment without settings except LAKE_HOME, a folder in `tmp_path` that does not exist yet."""
    paths = {"LANDING_URI", "WAREHOUSE_PATH", "STATE_PATH", "NOTIFICATIONS_PATH"}
    for name in os.environ:
        if name.startswith(SETTINGS) or name in paths:
            monkeypatch.delenv(name)
    (tmp_path / "dotenv").touch()
    monkeypatch.setenv("SQLMESH_DOTENV_PATH", str(tmp_path / "dotenv"))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture
def home(clean_settings: Path) -> Home:
    """The whole project in a temporary home on disk."""
    set_console(NoopConsole())
    return Home()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The project as SQLMesh loads it, over a home without data; read-only."""
    home = tmp_path_factory.mktemp("home")
    (home / "dotenv").touch()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LAKE_HOME", str(home))
        environment.setenv("SQLMESH_DOTENV_PATH", str(home / "dotenv"))
        settings.cache_clear()
        set_console(NoopConsole())
        context = Context(paths=str(PROJECT))
    settings.cache_clear()
    yield context
    context.close()


@pytest.fixture(scope="session")
def engagement_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with the models of engagement alone; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "engagement")
    keep_domain(folder, "engagement")
    return folder


@pytest.fixture
def engagement(engagement_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use that project for all plans, runs and cycles."""
    return use_project(engagement_project, monkeypatch)


@pytest.fixture(scope="session")
def revenue_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side with the models of revenue, and of engagement, which they read; read-only."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "revenue")
    keep_domain(folder, "engagement", "revenue")
    return folder


@pytest.fixture
def revenue_models(revenue_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use that project for all plans, runs and cycles."""
    return use_project(revenue_project, monkeypatch)


@pytest.fixture
def branch(engagement: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of that project that a test may change, used for all plans, runs and cycles."""
    return use_project(shutil.copytree(engagement, tmp_path / "branch"), monkeypatch)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of one S3 server for the whole session; each test needs bucket names of its own."""
    with serve(tmp_path_factory.mktemp("s3-server"), ["shared"]) as variables:
        yield variables


@pytest.fixture
def s3_lake(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A server for this test alone with the project's buckets; the settings point to it."""
    with serve(tmp_path / "s3", project_buckets()) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        yield variables


@pytest.fixture
def conditional_home(
    request: pytest.FixtureRequest, clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """The whole project on a real store that honours conditional writes: versitygw, or the one named by the test."""
    name = getattr(request, "param", "versitygw")
    program = shutil.which(os.environ.get(name.upper(), name))
    if program is None:
        pytest.skip(f"{name} is not installed: go install {SERVERS[name].package}")
    set_console(NoopConsole())
    with serve_program(program, SERVERS[name], tmp_path / "objects", project_buckets()) as variables:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        settings.cache_clear()
        yield Home()


@pytest.fixture
def s3_home(s3_lake: dict[str, str]) -> Home:
    """The whole project with landing and lake on a real S3 server."""
    set_console(NoopConsole())
    return Home()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One PostgreSQL server for the whole session; each test creates its own database in it."""
    try:
        with serve_postgres() as server:
            yield server
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres_home(
    clean_settings: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresHome]:
    """The whole project with its state in its own PostgreSQL database."""
    database = f"state_{uuid.uuid4().hex}"
    with settings_of(monkeypatch, clean_settings.parent, postgres_server, database):
        yield PostgresHome(postgres_server, database)
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


@contextmanager
def settings_of(environment: pytest.MonkeyPatch, folder: Path, server: Postgres, database: str) -> Iterator[None]:
    """Point the settings to a home in a folder and to a new database while the body runs."""
    pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
    set_console(NoopConsole())
    server.sql("postgres", f"CREATE DATABASE {database}")
    wanted = {"LAKE_GATEWAY": "postgres_state", "PGDATABASE": database, "LAKE_HOME": str(folder / "home")}
    for name, value in (wanted | server.variables).items():
        environment.setenv(name, value)
    environment.setenv("SQLMESH_DOTENV_PATH", str(folder / "dotenv"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of the reference sample."""
    if not REFERENCE.is_dir():
        pytest.skip("the reference sample is not beside this checkout")
    return REFERENCE


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook that records what it gets."""
    with serve_receiver() as found:
        yield found


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    """A mail server over TLS that records what it gets."""
    with serve_mail(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, one for the whole session: two drivers of it do not share a thread."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Chromium: playwright is not installed")
    try:
        path = chromium()
    except ConfigError as error:
        pytest.skip(str(error))
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker for the tests of a module."""
    with broker_or_skip(tmp_path_factory.mktemp("broker")) as broker:
        yield broker
