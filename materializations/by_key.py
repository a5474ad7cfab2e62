"""The kind of models whose rows follow from all versions of a key; pipeline/warehouse/by_key explains it.

On engines without transactions, and in unit tests, it is a FULL model.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlmesh import CustomMaterialization
from sqlmesh.core.model import FullKind, Model
from sqlmesh.utils.date import to_timestamp
from sqlmesh.utils.errors import SQLMeshError

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from ingest.settings import settings
from ingest.storage.store import Store
from pipeline.warehouse.by_key.definition import NAME as BY_KEY
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.by_key.log import Log
from pipeline.warehouse.by_key.sources import Sources
from pipeline.warehouse.by_key.table import Table
from pipeline.warehouse.engine import DIALECT


class ByKey(CustomMaterialization):  # type: ignore[misc]  # SQLMesh publishes no types
    """Computes the keys that changed since the last computation, see `Table.compute`."""

    NAME = BY_KEY

    def insert(
        self,
        table_name: str,
        query_or_df: Any,
        model: Model,
        is_first_insert: bool,
        render_kwargs: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """See SQLMesh."""

        def replace_all() -> None:  # with the model's columns, where any other kind keeps those of the table
            full = model.copy(update={"kind": FullKind()})
            self._replace_query_for_model(full, table_name, query_or_df, render_kwargs, **kwargs)

        try:
            declared = by_key(model)
            if declared is None or self.adapter.dialect != DIALECT:
                replace_all()
                return
            cursor, options = self.adapter.cursor, settings()
            table = exp.to_table(table_name, dialect=DIALECT)
            if is_first_insert:
                Log(cursor, table).drop()
            snapshot = kwargs["snapshot"]
            sources = Sources(cursor, Store(options.lake_uri, options), contracts()).of(
                snapshot, kwargs["snapshots"], kwargs["deployability_index"], query_or_df, declared
            )
            columns = list(model.columns_to_types_or_raise)
            interval = (to_timestamp(kwargs["start"]), to_timestamp(kwargs["end"]))
            Table(cursor, table, columns, declared, str(snapshot.fingerprint.data_hash)).compute(
                query_or_df, sources, interval, replace_all
            )
        except LakemeshError as error:
            raise SQLMeshError(str(error)) from error

    def delete(self, name: str, **kwargs: Any) -> None:
        """See SQLMesh."""
        super().delete(name, **kwargs)
        if self.adapter.dialect == DIALECT:
            Log(self.adapter.cursor, exp.to_table(name, dialect=DIALECT)).drop()
