"""Bronze, and what Lakemesh notes of its own work, made visible to the engine before a plan or run begins."""

from __future__ import annotations

from pathlib import Path

from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator
from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings
from ingest.storage.folders import make_folder

# SQLMesh imports this file before it opens its databases, and DuckDB makes files but no folders.
try:
    for _file in (settings().warehouse_path, settings().state_path):
        make_folder(Path(_file).parent)
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only kind that SQLMesh shows as one line
except OSError as _error:
    raise SQLMeshError(
        f"{_error.filename}: {_error.strerror}; expected a folder that this user can write (LAKE_HOME)"
    ) from None


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def register_bronze(evaluator: MacroEvaluator) -> list[str]:
    """Pins every feed's ledger position and gives its live files as one view; likewise what models/ops reads.

    On Spark it does so by itself: what is registered already need not be said again.

    `@register_bronze()` → `CREATE SCHEMA IF NOT EXISTS bronze; CREATE OR REPLACE VIEW bronze.events AS SELECT … ; …`
    """
    if evaluator.runtime_stage != "before_all":
        return []
    # Imported here: SQLMesh stores with the environment all that a macro finds at module level.
    from ingest.settings import read_settings
    from pipeline.invalidation.continuity import lost_now
    from pipeline.warehouse import bronze, operations
    from pipeline.warehouse.duck import lake_statements

    warehouse, lost = evaluator.engine_adapter, lost_now(read_settings())
    if warehouse.dialect == "spark":
        from pipeline.warehouse.spark import bronze as spark_bronze
        from pipeline.warehouse.spark import operations as spark_operations

        spark_bronze.register(warehouse, lost)
        spark_operations.register(warehouse, lost)
        return []
    # Not as the result: SQLMesh would log what it cannot parse, and these hold credentials.
    for statement in lake_statements(read_settings()):
        warehouse.cursor.execute(statement)
    return [*bronze.registration(warehouse, lost), *operations.registration(lost)]
