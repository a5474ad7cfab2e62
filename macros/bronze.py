"""Registers bronze and Lakemesh's own operational tables with the engine before a plan or run begins.

SQLMesh imports every file of macros/ when it loads the project; `before_all` in config.yaml calls `register_bronze`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator
from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings
from ingest.storage.folders import make_folder
from pipeline.process.redact import redact_logs

# SQLMesh reads the dates of seeds with arguments that pandas deprecates, and its users cannot change that.
for _category in (FutureWarning, UserWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"sqlmesh\.core\.model\.definition")

# `sqlmesh` has set up its log files by now; its errors quote values of rows.
redact_logs()

# SQLMesh imports this file before it opens its databases, and DuckDB creates files but not their folders.
try:
    for _file in (settings().warehouse_path, settings().state_path):
        make_folder(Path(_file).parent)
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only exception that SQLMesh prints on one line
except OSError as _error:
    raise SQLMeshError(
        f"{_error.filename}: {_error.strerror}; expected a folder that this user can write (LAKE_HOME)"
    ) from None


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def register_bronze(evaluator: MacroEvaluator) -> list[str]:
    """Pin the ledger position of every feed and define its live files as one view; likewise what models/ops reads.

    `@register_bronze()` → no statements; it executes `CREATE OR REPLACE VIEW bronze.events AS SELECT …` and so on
    """
    if evaluator.runtime_stage != "before_all":
        return []
    # Imported here because SQLMesh stores every module-level name that a macro uses with the environment.
    from ingest.settings import read_settings
    from pipeline.invalidation.continuity import lost_feeds
    from pipeline.lake import Lake
    from pipeline.warehouse.engines import engine_of

    lake = Lake(read_settings())
    lost = lost_feeds(lake.landings, lake.store, lake.records())
    engine_of(evaluator.engine_adapter).register(lake.options, lake.store, lost)
    return []
