"""DuckDB connections of our own: in memory, able to read the lake wherever it lies."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs

from ingest.settings import Settings


def httpfs_path() -> Path:
    """The S3 reader that came with the Python package, so that nothing is downloaded at run time.

    Raises:
        FileNotFoundError: the package does not match the installed DuckDB.
    """
    folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    return next(iter(folder.glob("httpfs.duckdb_extension"))) if folder.is_dir() else folder / "httpfs.duckdb_extension"


def secret(options: Settings) -> dict[str, str]:
    """The settings' S3 access as DuckDB's `CREATE SECRET` takes it."""
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
    """What a DuckDB session has to run before it can read the lake, or another address; nothing for local ones."""
    if not (uri or options.lake_uri).startswith("s3://"):
        return []
    quoted = ", ".join(f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in secret(options).items())
    return [f"LOAD '{httpfs_path()}'", f"CREATE OR REPLACE SECRET lakemesh ({quoted})"]


def in_memory() -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC. What exceeds memory goes to a folder that only this process's user can enter.

    DuckDB's default is a folder `.tmp` where the process stands, open to everybody and shared with other processes.
    """
    connection = duckdb.connect(":memory:", config={"temp_directory": _temporary_folder().name})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@cache
def _temporary_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="lakemesh-")  # removed when the process ends


def connect(options: Settings, uri: str = "") -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC that can read the lake, or another address."""
    connection = in_memory()
    for statement in lake_statements(options, uri):
        connection.execute(statement)
    return connection


def parquet(uri: str, paths: Iterable[str]) -> str:
    """A table function over Parquet files below an address."""
    quoted = ", ".join("'" + f"{uri}/{path}".replace("'", "''") + "'" for path in paths)
    return f"READ_PARQUET([{quoted}], hive_partitioning = FALSE, union_by_name = TRUE)"
