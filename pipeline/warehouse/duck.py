"""In-memory DuckDB connections that can read the lake, on local disk or S3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs

from ingest.schemes import FOLDER, scheme_of
from ingest.settings import Settings
from ingest.sql import files, literal
from pipeline.process.duck import DISABLED_OPTIMIZERS


def httpfs_path() -> Path:
    """Path of the S3 reader from the Python package, so that nothing is downloaded at run time.

    Raises:
        FileNotFoundError: the package does not match the installed DuckDB.
    """
    folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    return next(iter(folder.glob("httpfs.duckdb_extension"))) if folder.is_dir() else folder / "httpfs.duckdb_extension"


def secret(options: Settings) -> dict[str, str]:
    """The S3 settings as parameters of DuckDB's `CREATE SECRET`.

    Without a key in the settings it is the current one of the task, pod or machine that this process runs on, as for
    obstore and boto3; DuckDB's own extension for that is not a Python package of this project.
    """
    values = {"type": "s3", "region": options.aws_region} | _key(options)
    if options.aws_endpoint_url:
        address = urlsplit(options.aws_endpoint_url)
        values |= {
            "endpoint": address.netloc,
            "url_style": "path",
            "use_ssl": str(address.scheme == "https").lower(),
        }
    return {name: value for name, value in values.items() if value is not None}


def _key(options: Settings) -> dict[str, str | None]:
    found: tuple[str | None, ...] = (None, None, None)
    if options.aws_access_key_id:
        found = (options.aws_access_key_id, options.aws_secret_access_key, options.aws_session_token)
    elif provider := _provider():
        current = provider.get_frozen_credentials()
        found = (current.access_key, current.secret_key, current.token)
    return dict(zip(("key_id", "secret", "session_token"), found, strict=True))


@cache
def _provider() -> Any:
    """Botocore's credentials of the environment, which renew themselves; None without any."""
    import botocore.session  # takes 0.2 s, and is needed without a key in the settings alone

    return botocore.session.Session().get_credentials()


def lake_statements(options: Settings, uri: str = "") -> list[str]:
    """Statements that let a DuckDB session read the lake, or another URI; none for a local path."""
    return ACCESS[scheme_of(uri or options.lake_uri)](options)


def _s3_access(options: Settings) -> list[str]:
    quoted = ", ".join(f"{name} {literal(value)}" for name, value in secret(options).items())
    return [f"LOAD {literal(httpfs_path())}", f"CREATE OR REPLACE SECRET lakemesh ({quoted})"]


ACCESS: Mapping[str, Callable[[Settings], list[str]]] = {FOLDER: lambda _: [], "s3": _s3_access}
"""The statements that let a session read a kind of storage, by the scheme of its addresses."""


def in_memory() -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC that spills to a folder only this process's user can enter.

    DuckDB's default is `.tmp` in the working directory, readable by every user and shared with other processes.
    """
    connection = duckdb.connect(":memory:", config=DISABLED_OPTIMIZERS | {"temp_directory": _temporary_folder().name})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@cache
def _temporary_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="lakemesh-")  # removed when the process ends


def connect(options: Settings, uri: str = "") -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC that can read the lake, or another URI."""
    connection = in_memory()
    for statement in lake_statements(options, uri):
        connection.execute(statement)
    return connection


def parquet(uri: str, paths: Iterable[str]) -> str:
    """A table function over Parquet files below a URI."""
    return f"READ_PARQUET([{files(uri, paths)}], hive_partitioning = FALSE, union_by_name = TRUE)"
