"""Projects of a model or two, as SQLMesh loads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.console import NoopConsole, set_console


@contextmanager
def project_of(folder: Path, files: dict[str, str]) -> Iterator[Context]:
    """A project in a folder, of files by path; closed after the body."""
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
