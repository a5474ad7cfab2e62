"""Bronze, made visible to the engine before a plan or run begins."""

from __future__ import annotations

from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()
def register_bronze(evaluator: MacroEvaluator) -> list[str]:
    """Pins every feed's ledger position and gives its live files as one view.

    `@register_bronze()` → `CREATE SCHEMA IF NOT EXISTS bronze; CREATE OR REPLACE VIEW bronze.events AS SELECT … ; …`
    """
    if evaluator.runtime_stage != "before_all":
        return []
    from ingest.contract import contracts
    from ingest.ledger import Ledger
    from ingest.settings import settings
    from ingest.store import Store
    from pipeline.bronze import bronze_query
    from pipeline.duck import lake_statements

    lake = Store(settings().lake_uri)
    statements = [*lake_statements(settings()), "CREATE SCHEMA IF NOT EXISTS bronze"]
    for contract in contracts().values():
        files = Ledger(lake, contract.feed).state().bronze_files()
        query = bronze_query(contract, settings().lake_uri, files)
        statements.append(f"CREATE OR REPLACE VIEW {contract.table} AS {query}")
    return statements
