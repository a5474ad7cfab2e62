"""Write the result of a join, completely or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from ingest.errors import ConfigError
from ingest.storage.names import draft_of

SUFFIXES = (".csv", ".parquet")


def check_path(path: Path) -> None:
    """Raise unless the end of a name says how to write a file.

    Raises:
        ConfigError: it does not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write a table as CSV or Parquet, by the end of the name, readable by its owner alone: it is about persons.

    Raises:
        ConfigError: the name has another end, or the file cannot be written.
    """
    check_path(path)
    draft = Path(draft_of(str(path)))
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if path.suffix.lower() == ".csv":
                write_csv(rows, file)
            else:
                pq.write_table(rows, file)
        draft.replace(path)
    except pa.ArrowException as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}; choose a name that ends in .parquet") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; choose another --output") from error
    finally:
        with suppress(OSError):  # it is no longer there, or never was
            draft.unlink()


def write_csv(rows: pa.Table, file: Any) -> None:
    """Write a table as CSV with a header; texts are quoted, NULL is an empty field without quotes."""
    arrow_csv.write_csv(rows, file, arrow_csv.WriteOptions(quoting_style="needed"))
