"""`lake serve` and `lake mcp`: the server for programs, people's browsers and agents."""

from __future__ import annotations

import importlib.util

import click

from pipeline.cli.common import exits

EXTRA = ("mcp", "jwt", "uvicorn", "fastapi")


def _check_extra() -> None:
    from ingest.errors import ConfigError

    if any(importlib.util.find_spec(name) is None for name in EXTRA):
        raise ConfigError("the extra `serve` is not installed; `make setup-serve` installs it")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need keys.")
@click.option("--port", default=8321, show_default=True, type=click.IntRange(1, 65535))
@click.option("--new-key", is_flag=True, help="Print a new key and its hash for LAKE_API_KEYS, and serve nothing.")
@exits
def serve(host: str, port: int, new_key: bool) -> int:
    """Serve the current release over HTTP: tables, metrics, SQL, pages, and tools for agents at /mcp; read-only."""
    _check_extra()
    from ingest.settings import PROJECT, settings
    from pipeline.api.keys import new_key as made
    from pipeline.api.server import serve as run

    if new_key:
        key, digest = made()
        click.echo(f'key     {key}\nentry   "NAME": {{"sha256": "{digest}", "role": "ROLE"}}')
        return 0
    run(settings(), PROJECT, host, port, lambda address: click.echo(address, err=True))
    return 0


@click.command()
@click.option("--role", default="", help="Read the release of this role; by default that of everything.")
@exits
def mcp(role: str) -> int:
    """Offer the tools for agents on standard input and output (MCP)."""
    _check_extra()
    from ingest.settings import PROJECT, settings
    from pipeline.api.server import serve_agent

    serve_agent(settings(), PROJECT, role)
    return 0
