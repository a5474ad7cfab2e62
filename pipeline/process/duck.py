"""DuckDB: the settings that every connection needs, and its errors as Lakemesh's errors, on one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from ingest.errors import RetriableError

UNAVAILABLE = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException)
"""Errors of files, disks and networks, not of a statement."""
DISABLED_OPTIMIZERS: dict[str, Any] = {"disabled_optimizers": "top_n_window_elimination"}
"""Settings of a connection: with this optimizer, DuckDB 1.5.6 fails on QUALIFY. config.yaml has it too."""
_SHOWN_CHARACTERS = 300


@contextmanager
def translate_errors(place: str, then: str = "", kinds: tuple[type[duckdb.Error], ...] = UNAVAILABLE) -> Iterator[None]:
    """Translate errors of DuckDB into RetriableError.

    Args:
        place: the file or store, for messages.
        then: the end of the message: what was kept, and the next step.
        kinds: the errors to translate; by default not those of a wrong statement.

    Raises:
        RetriableError: DuckDB raised one of them.
    """
    try:
        yield
    except kinds as error:
        raise unavailable(place, error, then) from error


def unavailable(place: str, error: Exception, then: str = "") -> RetriableError:
    """The error for a file or store that DuckDB cannot use at the moment; arguments as in `translate_errors`."""
    return RetriableError(f"{place}: {error_text(error)[:_SHOWN_CHARACTERS]}{then}")


def error_text(error: Exception) -> str:
    """The first line of a message, which says what happened; the others quote the statement."""
    return " ".join((str(error).splitlines() or [""])[0].split())


def is_locked(error: BaseException) -> bool:
    """Whether an error is due to another process that has the database file open, whichever library reports it."""
    return "could not set lock" in str(error).lower()


@contextmanager
def lock_errors() -> Iterator[None]:
    """Translate the error for a database of the project that another process uses into RetriableError."""
    try:
        yield
    except Exception as error:  # DuckDB's errors are wrapped in several layers, identifiable only by their text
        if not is_locked(error):
            raise
        raise RetriableError(
            "the warehouse or the state is in use by another process (a run, or `sqlmesh ui`); "
            "wait for it or end it, and run this again"
        ) from error
