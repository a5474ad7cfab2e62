"""The folder of an export: files for the user of the process alone, each list of records as JSON and as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import IO, Any

from ingest.errors import ConfigError
from ingest.storage.errors import local_error
from ingest.text import printable

FILE_MODE, FOLDER_MODE = 0o600, 0o700


class SubjectFolder:
    """A new folder, which is removed again if it is not completed.

    Args:
        path: where it is made; its parent exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder, and remove it with all files if the body fails.

        Raises:
            ConfigError: it exists, or cannot be made or written.
        """
        try:
            self.path.mkdir(FOLDER_MODE)
        except FileExistsError:
            raise ConfigError(
                f"{printable(str(self.path))} exists; expected a new folder, since an export overwrites nothing"
            ) from None
        except FileNotFoundError:
            raise ConfigError(f"{printable(str(self.path.parent))} is no folder; make it first") from None
        except OSError as error:
            raise local_error(error, self.path) from error
        try:
            self.path.chmod(FOLDER_MODE)  # whatever the umask leaves out
            yield
        except BaseException as error:
            self.remove()
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise local_error(error, Path(error.filename or self.path)) from error
            raise

    def remove(self) -> None:
        """Remove it with all files."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, value: Any) -> None:
        """Write a file of JSON."""
        with self._new(f"{name}.json") as file:
            json.dump(as_json(value), file, indent=1, ensure_ascii=False)
            file.write("\n")

    def write_records(self, name: str, fields: Sequence[str], records: Iterable[Mapping[str, Any]]) -> int:
        """Write records as `<name>.json`, an array, and as `<name>.csv`, one at a time; no file without any.

        In CSV (RFC 4180) lists and structs are JSON, and nothing is changed for the sake of spreadsheets.

        Args:
            fields: of all records, in order.

        Returns:
            The number of records.
        """
        count = 0
        rows = iter(records)
        first = next(rows, None)
        if first is None:
            return 0
        (self.path / name).parent.mkdir(FOLDER_MODE, exist_ok=True)
        with self._new(f"{name}.json") as as_array, self._new(f"{name}.csv") as as_table:
            table = csv.writer(as_table)
            table.writerow(fields)
            for count, record in enumerate(_with(first, rows), 1):
                plain = as_json(dict(record))
                as_array.write(("[\n" if count == 1 else ",\n") + json.dumps(plain, ensure_ascii=False))
                table.writerow([_cell(plain.get(field)) for field in fields])
            as_array.write("\n]\n")
        return count

    def _new(self, name: str) -> IO[str]:
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")


def as_json(value: Any) -> Any:
    """A value of bronze or of a release as one of JSON: times in UTC, exact decimals as texts.

    >>> as_json({"at": dt.datetime(2026, 3, 1, 10), "amount": Decimal("9.50")})
    {'at': '2026-03-01T10:00:00Z', 'amount': '9.50'}
    """
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    is_no_number = isinstance(value, float) and not isfinite(value)  # JSON has no infinity
    return str(value) if isinstance(value, Decimal) or is_no_number else value


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return "true" if value is True else "false" if value is False else value


def _with(first: Mapping[str, Any], rest: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield first
    yield from rest
