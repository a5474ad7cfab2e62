"""Run the server: over HTTP, or for one agent on standard input and output."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.access.roles import load_roles
from pipeline.api.app import create
from pipeline.api.core import Core
from pipeline.api.keys import Caller
from pipeline.api.live import check_address
from pipeline.api.tools import tools

GRACE_SECONDS = 5


def serve(options: Settings, project: Path, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Answer HTTP until the process is asked to end.

    Args:
        announce: is given the address, once all that can be wrong is checked.

    Raises:
        ConfigError: a setting is invalid, the address is taken, or others could reach a server without keys.
    """
    check_address(options.live_url)
    core = Core(options, project)
    if core.keys.is_open and not _is_local(host):
        raise ConfigError(
            f"--host {host}: without keys the server is for this machine alone; configure LAKE_API_KEYS "
            "(`lake serve --new-key`) or LAKE_JWT_KEY, or use 127.0.0.1"
        )
    _check_free(host, port)
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    uvicorn.run(
        create(core),
        host=host,
        port=port,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=32 << 10,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve_agent(options: Settings, project: Path, role: str) -> None:
    """Answer the tools' calls on standard input and output.

    Args:
        role: whose release is read; empty for the release of everything.

    Raises:
        ConfigError: a setting is invalid, or there is no such role.
    """
    roles = [item.name for item in load_roles(project)]
    if role and role not in roles:
        raise ConfigError(f"--role {role}: not in access/roles.yaml; its roles are {', '.join(roles) or 'none'}")
    asyncio.run(_on_streams(Core(options, project), Caller("mcp", role)))


async def _on_streams(core: Core, caller: Caller) -> None:
    core.start()
    keeping = asyncio.create_task(core.reads.keep())
    try:
        await tools(core, lambda _: caller).run_stdio_async()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await core.close()


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be used: {error.strerror}; choose another --host or --port") from None
