"""The handle on a lake, which a command opens once from the settings and hands to the cycle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingest.contracts.contract import Contract
from ingest.ledger.ledger import Ledger
from ingest.ledger.tombstones import TombstoneStore
from ingest.settings import Settings
from ingest.storage.landing import Landing, Landings
from ingest.storage.lock import host_lock
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from pipeline.access.audit_log import AuditLog
from pipeline.alerting.alert import Channel
from pipeline.alerting.channels import channels
from pipeline.invalidation.continuity import LakeRecords, lake_records
from pipeline.releases.release import Releases
from pipeline.state.database import Database
from pipeline.state.opening import state_database
from pipeline.state.state import State
from pipeline.warehouse.duck import connect

if TYPE_CHECKING:  # SQLGlot takes a fifth of the start of an ingest, which needs no engine
    from pipeline.warehouse.engine import Engine


class Lake:
    """The parts of a lake, each opened when it is first used.

    Packages below this module take the parts that they need, never the handle.

    Attributes:
        options: the settings that it was opened from.
        landings: the buckets that producers write to.
    """

    def __init__(self, options: Settings) -> None:
        self.options = options
        self.landings = Landings(options)

    @cached_property
    def store(self) -> Store:
        """Bronze, quarantine and ledger."""
        return Store(self.options.lake_uri, self.options)

    @cached_property
    def state(self) -> Database:
        """SQLMesh's state with the applied positions.

        Raises:
            ConfigError: it is in Postgres, and psycopg2 is not installed.
        """
        return state_database(self.options)

    @cached_property
    def engine(self) -> type[Engine]:
        """The engine that stores silver and gold."""
        from pipeline.warehouse.engines import engine_type

        return engine_type(self.options)

    @cached_property
    def releases(self) -> Releases:
        """The releases of gold."""
        return Releases(self.options)

    @cached_property
    def tombstones(self) -> TombstoneStore:
        """The tombstones of persons who are forgotten."""
        return TombstoneStore(self.store, self.options.lake_erasure_key)

    @cached_property
    def kafka(self) -> Connection:
        """The brokers of topics."""
        return Connection(self.options)

    @property
    def audit_log(self) -> AuditLog:
        """What was done to data and to the rules about it."""
        return AuditLog(self.store)

    @property
    def alerts(self) -> list[Channel]:
        """The alert channels of the settings."""
        return channels(self.options)

    def landing(self, contract: Contract) -> Landing:
        """The bucket of a feed."""
        return self.landings.bucket(contract.source.bucket)

    def ledger(self, feed: str) -> Ledger:
        """The ledger of a feed."""
        return Ledger(self.store, feed)

    def records(self, state: State | None = None) -> LakeRecords:
        """What state and releases record about the lake, see `lake_records`."""
        return lake_records(self.state, self.releases, self.store, state)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB connection that can read the lake."""
        return connect(self.options)

    @contextmanager
    def writable(self) -> Iterator[str]:
        """Hold the lake for writing, with a note for the operator, empty if writers may run in parallel.

        A store that ignores conditional writes is locked on this host while the body runs.

        Raises:
            ConfigError: the lake cannot be used.
            RetriableError: the lake cannot be reached, or another writer holds its lock.
        """
        uri = self.options.lake_uri
        try:
            if self.store.honours_put_if_absent():
                yield ""
                return
            with host_lock(Path(self.options.lake_home) / "locks", uri):
                yield f"{uri} ignores conditional writes: only one ingester at a time, on one host (locked)"
        finally:
            self.store.close()
