"""Selection of the state database by the settings."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.state.state import State


def open_state(options: Settings, read_only: bool = False) -> State:
    """Open SQLMesh's state with Lakemesh's tables in it.

    Args:
        read_only: do not wait for, create or change a DuckDB file. Ignored on Postgres.

    Raises:
        RetriableError: another process holds the DuckDB file, or Postgres cannot be reached.
        ConfigError: the state cannot be opened.
    """
    if options.has_postgres_state:
        from pipeline.state.postgres import PostgresState  # needs the extra `postgres`

        return PostgresState(options)
    from pipeline.state.duck import DuckState

    return DuckState(options, read_only)
