"""The whole project in a temporary home: real files, a real SQLMesh context on the real models."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, read_settings, settings
from ingest.storage.landing import Landing
from pipeline.cycle.ingest import IngestSummary, ingest_all
from pipeline.lake import Lake
from tests.postgres_server import Postgres


class Home:
    """A lake, a warehouse and a state below one folder; each context is new, as in each command."""

    def __init__(self) -> None:
        self.options = read_settings()

    @property
    def options_home(self) -> Path:
        """The folder that contains everything."""
        return Path(self.options.lake_home)

    def landing(self, feed: str) -> Landing:
        return Landing(self.options.landing(contracts()[feed].source.bucket), self.options)

    def put(self, feed: str, key: str, *records: dict[str, Any] | bytes) -> None:
        """Write one landing object of JSON lines."""
        lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in records]
        self.landing(feed).put(key, b"".join(line.rstrip(b"\n") + b"\n" for line in lines))

    def ingest(self, *feeds: str) -> IngestSummary:
        summary = ingest_all(Lake(settings()), feeds, lambda _: lambda objects, size: None)
        assert [error for error in summary.errors if "are quarantined" not in error] == []
        return summary

    def context(self) -> Context:
        return Context(paths=str(PROJECT))

    @staticmethod
    def close(context: Context) -> None:
        """Close the databases, including those that the context itself would leave open."""
        context.close()
        for adapter in context.engine_adapters.values():
            adapter.close()

    def plan(self, environment: str = "prod", **options: Any) -> Any:
        context = self.context()
        try:
            return context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True, **options)
        finally:
            self.close(context)

    def missing(self) -> dict[str, list[str]]:
        """The preview of `sqlmesh plan`: dates to backfill by model."""
        context = self.context()
        try:
            plan = context.plan("prod", no_prompts=True, auto_apply=False, skip_tests=True)
            return {
                item.snapshot_id.name.replace('"', "").split(".", 1)[1]: item.format_intervals().split(", ")
                for item in plan.missing_intervals
            }
        finally:
            self.close(context)

    def run(self) -> str:
        """`sqlmesh run`: SUCCESS, FAILURE or NOTHING_TO_DO."""
        context = self.context()
        try:
            return str(context.run(skip_janitor=True).name)
        finally:
            self.close(context)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        context = self.context()
        try:
            return list(context.engine_adapter.fetchall(query))
        finally:
            self.close(context)


FOLDERS = ("models", "macros", "materializations", "signals", "audits", "seeds", "external_models", "linter", "privacy")
"""What SQLMesh and the lint rules read of the project, apart from its configuration."""


def copy_project(folder: Path) -> Path:
    """Copy the project's SQLMesh side into a folder, to be changed as on a branch; return the folder."""
    for name in (*FOLDERS, "config.yaml"):
        source = PROJECT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    return folder


def keep_domain(folder: Path, *domains: str) -> None:
    """Remove the models, standalone audits, declared classes and unit tests of other domains than these from a copy.

    Plans and runs are quicker with less. What remains must not read what is removed, but keeps the seeds that it reads.
    """
    for parent in (folder / "models", folder / "tests/models"):
        for path in parent.glob("*/*"):
            if path.is_dir() and path.name not in domains:
                shutil.rmtree(path)
    kept = "".join(path.read_text() for path in (folder / "models").glob("*/*/*.sql"))
    for path in (folder / "models/seeds").glob("*.sql"):
        if f"seeds.{path.stem} " not in kept:
            path.unlink()
    for path in (folder / "privacy").glob("*.yaml"):
        if path.stem not in domains:
            path.unlink()
    for path in (folder / "audits").glob("*.sql"):
        text = path.read_text()
        if "standalone TRUE" in text and not any(f"owner {domain}" in text for domain in domains):
            path.unlink()


def switch_rules_off(folder: Path) -> None:
    """Lint nothing in a copy: rules want what is declared of models that were removed."""
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("linter:\n  enabled: true", "linter:\n  enabled: false"))


def keep_histories(folder: Path) -> None:
    """Remove all models but the histories of the shop's tables from a copy."""
    keep_domain(folder, "shop")
    for path in [*(folder / "models").glob("*/*.sql"), *(folder / "models").glob("*/*/*.sql")]:
        if not re.search(r"@VERSIONS|@CHANGE_MARKS", path.read_text()):
            path.unlink()
    (folder / "privacy/shop.yaml").unlink()
    for path in (folder / "audits").glob("*.sql"):
        if "standalone TRUE" in path.read_text():
            path.unlink()


SALES = ("seeds/currencies", "seeds/exchange_rates", "silver/revenue/exchange_rates")
"""Models of other domains that the shop's sales read."""


def keep_sales(folder: Path) -> None:
    """Remove all models but those of the shop and of the rates that its sales need from a copy."""
    kept = {name: (folder / f"models/{name}.sql").read_text() for name in SALES}
    keep_domain(folder, "shop")
    for name, text in kept.items():
        path = folder / f"models/{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def keep_upstream(folder: Path, *names: str) -> None:
    """Remove all models but these and those that they read, and the standalone audits, from a copy."""
    paths = {
        f"{path.relative_to(folder / 'models').parts[0]}.{path.stem}": path for path in folder.glob("models/**/*.sql")
    }
    kept: set[str] = set()
    found = set(names)
    while found:
        kept |= found
        texts = [paths[name].read_text() for name in found]
        found = {
            name for text in texts for name in re.findall(r"\b(?:silver|gold|seeds)\.\w+", text)
        } & paths.keys() - kept
    for name in paths.keys() - kept:
        paths[name].unlink()
    for path in (folder / "audits").glob("*.sql"):
        if "standalone TRUE" in path.read_text():
            path.unlink()


def use_project(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Use this project for all further plans, runs and cycles of this process and of tests/worker.py."""
    patch.setattr("tests.home.PROJECT", folder)
    patch.setattr("pipeline.warehouse.project.PROJECT", folder)
    patch.setattr("pipeline.cycle.up_to_date.PROJECT", folder)
    return folder


@contextmanager
def template(folder: Path, project: Path) -> Iterator[Home]:
    """A home that is prepared once with the models of a project; tests start from a copy of it."""
    (folder / "dotenv").touch()
    set_console(NoopConsole())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(folder / "home"))
        patch.setenv("SQLMESH_DOTENV_PATH", str(folder / "dotenv"))
        settings.cache_clear()
        use_project(project, patch)
        yield Home()
    settings.cache_clear()


def copy_home(prepared: Home, home: Home) -> Home:
    """Copy a prepared home into another one; the landing as links, so that the identity of its objects stays."""
    home.options_home.mkdir(parents=True, exist_ok=True)
    for item in prepared.options_home.iterdir():
        if item.is_dir():
            copy = os.link if item.name == "landing" else shutil.copy2
            shutil.copytree(item, home.options_home / item.name, copy_function=copy)
        else:
            shutil.copy(item, home.options_home / item.name)
    return home


class PostgresHome(Home):
    """A home whose state is in PostgreSQL."""

    def __init__(self, server: Postgres, database: str) -> None:
        super().__init__()
        self.server = server
        self.database = database

    def state(self, query: str) -> list[str]:
        """The rows of a query on the state, columns joined by `|`."""
        return self.server.sql(self.database, query).splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def split_reference(reference: Path, seed: int = 1) -> list[tuple[str, str, list[bytes]]]:
    """The reference sample as hundreds of small objects in random order: (feed, key, lines)."""
    objects: list[tuple[str, str, list[bytes]]] = []
    for feed, size in (("events", 30), ("users", 20), ("activities", 60)):
        lines = (reference / "raw" / f"{feed}.ndjson").read_bytes().splitlines()
        parts: Sequence[list[bytes]] = [lines[start : start + size] for start in range(0, len(lines), size)]
        objects += [(feed, f"part/{number:05d}.json", part) for number, part in enumerate(parts)]
    random.Random(seed).shuffle(objects)
    return objects
