"""A real PostgreSQL for the tests: a private cluster in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "lakemesh", "lakemesh-tests 'secret' \"%s\""
"""The password contains characters that a configuration file has to quote."""


def program(name: str) -> str | None:
    """The path of one of the server's programs; Debian installs them outside of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return shutil.which(name) or next((str(path / name) for path in folders if (path / name).exists()), None)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running cluster.

    Attributes:
        variables: the connection variables of a client, except the database.
        pid: of its first process.
    """

    variables: dict[str, str]
    pid: int = 0

    def run(self, name: str, *arguments: str) -> str:
        """Run one of the client programs and return its output.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        path = program(name)
        assert path is not None
        environment = os.environ | self.variables | {"PGDATABASE": "postgres"}
        return subprocess.run([path, *arguments], env=environment, check=True, text=True, capture_output=True).stdout

    def sql(self, database: str, statement: str) -> str:
        """The rows of a statement, one per line."""
        return self.run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)


@contextmanager
def serve_postgres(**parameters: str) -> Iterator[Postgres]:
    """Run a cluster while the body runs. PostgreSQL refuses root, so root runs it as the user of its packages.

    Args:
        parameters: of the server's configuration, such as wal_level.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="lakemesh-postgres-"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user:
            for path in (folder, secret):
                shutil.chown(path, user)
        data = str(folder / "data")
        _run([initdb, "-D", data, "-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "-E", "UTF8"], user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
        quick = ["-c", "fsync=off", "-c", "shared_buffers=32MB"]
        own = [item for name, value in parameters.items() for item in ("-c", f"{name}={value}")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [server, "-D", data, *options, *quick, *own], user=user, cwd=folder, stdout=log, stderr=log
            )
        try:
            variables = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD}
            postgres = Postgres(variables, process.pid)
            ready = [program("pg_isready") or "pg_isready", "--quiet", "--timeout=1"]
            for _ in range(60):
                if subprocess.run(ready, env=os.environ | variables, check=False).returncode == 0:
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL ended: {(folder / 'log').read_text()}")
            yield postgres
        finally:
            process.terminate()  # SIGTERM waits for clients; those of the tests have gone or are cut off
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], user: str | None) -> None:
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} as {user or getpass.getuser()}: {done.stdout}{done.stderr}")
