"""A real S3 server that honours conditional writes, for the tests: versitygw over a local folder."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest.settings import Settings
from pipeline.init_s3 import create_buckets


@contextmanager
def serve_versitygw(program: str, folder: Path, buckets: Sequence[str]) -> Iterator[dict[str, str]]:
    """Runs the server while the body runs; yields the variables that lead a lake to it."""
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    secrets = {"ROOT_ACCESS_KEY": "lakemesh-tests", "ROOT_SECRET_KEY": "lakemesh-tests-secret"}
    with subprocess.Popen(
        [program, "--quiet", "--port", address, "posix", str(folder)],
        env=os.environ | secrets,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        variables = {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": secrets["ROOT_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": secrets["ROOT_SECRET_KEY"],
            "AWS_REGION": "us-east-1",
            "LANDING_URI": "s3://{bucket}",
            "LAKE_URI": "s3://lake",
            "NO_PROXY": "127.0.0.1",
        }
        try:
            create_buckets(Settings.model_validate(variables), buckets, 20)
            yield variables
        finally:
            process.terminate()
