"""Real S3 servers for the tests: versitygw and MinIO honour conditional writes, moto accepts any key unchanged."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.settings import Settings
from pipeline.dev.init_s3 import create_buckets

USER, PASSWORD = "lakemesh-tests", "lakemesh-tests-secret"


@dataclass(frozen=True, slots=True)
class Server:
    """How one of them is installed and run.

    Attributes:
        package: the argument of `go install`.
        arguments: its command line, with `{address}`, `{port}` and `{folder}`.
        environment: the variables with its credentials.
    """

    package: str
    arguments: tuple[str, ...]
    environment: dict[str, str]


SERVERS = {
    "versitygw": Server(
        "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
        ("--quiet", "--port", "{address}", "posix", "{folder}"),
        {"ROOT_ACCESS_KEY": USER, "ROOT_SECRET_KEY": PASSWORD},
    ),
    "minio": Server(
        "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
        ("server", "--quiet", "--address", "{address}", "{folder}"),
        {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"},
    ),
}


MOTO = Server("moto[s3] flask flask-cors", ("-H", "127.0.0.1", "-p", "{port}"), {})
"""Stores every key unchanged, in memory; servers over a folder cannot: `x/`, `a//b`, `../x`, control characters."""
START_SECONDS = 60


@contextmanager
def serve_program(program: str, server: Server, folder: Path, buckets: Sequence[str]) -> Iterator[dict[str, str]]:
    """Run a server while the body runs; yields the variables that point a lake to it."""
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with subprocess.Popen(
        [program, *(item.format(address=address, port=port, folder=folder) for item in server.arguments)],
        env=os.environ | server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        variables = {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_REGION": "us-east-1",
            "LANDING_URI": "s3://{bucket}",
            "LAKE_URI": "s3://lake",
            "NO_PROXY": "127.0.0.1",
        }
        try:
            create_buckets(Settings.model_validate(variables), buckets, START_SECONDS)
            yield variables
        finally:
            process.terminate()
