"""Projects of one or two models, and the rules of linter/, as SQLMesh loads them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from sqlmesh import Context
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.console import NoopConsole, set_console

from ingest.settings import PROJECT


@contextmanager
def project_of(folder: Path, files: dict[str, str]) -> Iterator[Context]:
    """A project in a folder, from files by path; closed after the body."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    set_console(NoopConsole())
    config = Config(
        model_defaults=ModelDefaultsConfig(dialect="duckdb"),
        gateways={"": GatewayConfig(connection=DuckDBConnectionConfig())},
    )
    context = Context(paths=str(folder), config=config)
    try:
        yield context
    finally:
        context.close()


def rules_of(name: str) -> ModuleType:
    """`linter/<name>.py`, loaded by its path."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "linter" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
