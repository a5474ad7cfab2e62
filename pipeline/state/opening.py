"""Which state database the settings lead to."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.state.state import State


def open_state(options: Settings, look: bool = False) -> State:
    """SQLMesh's state with our tables in it.

    Args:
        look: only to read what is there: a DuckDB file is not waited for, not made and not changed.

    Raises:
        RetriableError: another process holds the DuckDB file, or Postgres cannot be reached.
        ConfigError: it cannot be opened.
    """
    if options.has_postgres_state:
        from pipeline.state.postgres import PostgresState  # which needs the extra `postgres`

        return PostgresState(options)
    from pipeline.state.duck import DuckState

    return DuckState(options, look)
