"""In-memory DuckDB connections that can read the lake, on local disk or S3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
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
    """The S3 settings as parameters of DuckDB's `CREATE SECRET`."""
    values = {
        "type": "s3",
        "region": options.aws_region,
        "key_id": options.aws_access_key_id,
        "secret": options.aws_secret_access_key,
        "session_token": options.aws_session_token,
    }
    if options.aws_endpoint_url:
        address = urlsplit(options.aws_endpoint_url)
        values |= {
            "endpoint": address.netloc,
            "url_style": "path",
            "use_ssl": str(address.scheme == "https").lower(),
        }
    return {name: value for name, value in values.items() if value is not None}


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
