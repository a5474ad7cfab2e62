"""The state database of a gateway: opening it, and keeping other processes out while this one computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ingest.settings import Settings
from pipeline.process.removed import Removed
from pipeline.state.state import State


class Database(ABC):
    """SQLMesh's state with Lakemesh's tables in it, as one gateway stores it.

    Attributes:
        options: the settings that name it.
    """

    def __init__(self, options: Settings) -> None:
        self.options = options

    @abstractmethod
    def open(self, read_only: bool = False) -> State:
        """Open the state.

        Args:
            read_only: do not wait for, create or change a DuckDB file. Ignored on Postgres.

        Raises:
            RetriableError: another process holds the DuckDB file, or Postgres cannot be reached.
            ConfigError: the state cannot be opened.
        """

    @abstractmethod
    def compute_lock(self) -> AbstractContextManager[None]:
        """Keep other processes from computing or marking dates while the body runs; reentrant.

        Raises:
            RetriableError: another process computes for longer than state_lock_seconds, or the lock was lost.
        """

    @abstractmethod
    def cycle_lock(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Keep other cycles, on any host, from running while the body runs.

        Raises:
            Busy: another cycle is in progress.
        """

    @abstractmethod
    def require_compute_lock(self) -> None:
        """Check the compute lock before publishing what was computed under it.

        Raises:
            RetriableError: the lock was lost.
        """

    @abstractmethod
    def install(self, current: Callable[[], Database]) -> None:
        """Make SQLMesh's own commands hold the compute lock while they compute.

        Args:
            current: returns the database of the settings when such a command starts.
        """

    @abstractmethod
    def prepare(self, context: Any) -> None:
        """Prepare a SQLMesh context to compute under the lock: on the current state and its own warehouse.

        Raises:
            ConfigError: the state belongs to another warehouse.
        """

    @abstractmethod
    def before_marking(self, state: State) -> None:
        """Reconcile the clock before dates are marked, where no lock does so."""

    @abstractmethod
    def set_aside(self) -> None:
        """Keep the current state under another name, so that a new one starts.

        After an interrupted rebuild the state from before it stays kept, and its remains are dropped.
        """

    @abstractmethod
    def drop_aside(self) -> None:
        """Drop the state that `set_aside` kept."""

    @abstractmethod
    def copied(self, copy: Path, wait_seconds: float) -> AbstractContextManager[str]:
        """Copy the state to a local file, and keep others from computing on it while the body runs, if it can.

        Args:
            copy: the file to write; it does not exist.
            wait_seconds: how long to wait for a process that computes.

        Returns:
            The kind of the copy, `duckdb` or `postgres`; empty if there is no state.

        Raises:
            RetriableError: another process computes for longer, or the state cannot be reached.
        """

    @abstractmethod
    def restore(self, kind: str, copy: Path, lake_id: str) -> bool:
        """Restore a copied state where there is none; all of it or nothing, also when killed.

        Args:
            kind: of the copy.
            lake_id: of the lake that it describes; a state that describes it already is left as it is.

        Returns:
            False if the copy is of another kind of state.

        Raises:
            ConfigError: there is another state.
            RetriableError: it cannot be reached.
        """

    @abstractmethod
    def rewrite(self) -> Removed:
        """Store what is in the state without the rows that were deleted from it. No session may be open here.

        Raises:
            RetriableError: another process uses it, or the disk is full; it is unchanged.
        """
