"""Selection of the state database by the settings."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.state.database import Database


def state_database(options: Settings) -> Database:
    """The state database of the settings' gateway.

    Raises:
        ConfigError: it is in Postgres, and psycopg2 is not installed.
    """
    if options.has_postgres_state:
        from pipeline.state.shared import PostgresDatabase  # needs the extra `postgres`

        return PostgresDatabase(options)
    from pipeline.state.duck import DuckDatabase

    return DuckDatabase(options)
