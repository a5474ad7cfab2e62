"""Ends every environment but production, for an erasure: their tables have rows of dates that are not computed again.

So have tables of expired models, which SQLMesh keeps for a week, and tables of no model, which a killed plan leaves.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp
from sqlmesh.core.dialect import schema_
from sqlmesh.core.environment import Environment
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import ConfigError, RetriableError
from pipeline.process import duck
from pipeline.process.postgres import driver_errors
from pipeline.process.removed import Removed
from pipeline.state import interval_log as history
from pipeline.state.database import Database
from pipeline.warehouse.engine import DIALECT
from pipeline.warehouse.project import PROD, Project, plain_name


def end_environments(project: Project, database: Database) -> Removed:
    """Drop whatever production does not read: other environments' views and tables, expired and left-over tables.

    An environment that reads production's tables alone stays. Safe to interrupt at any point, and to call again.

    Raises:
        ConfigError: there is no production, or a plan of it was interrupted, so that it may read its older tables.
        RetriableError: something could not be dropped.
    """
    kept = [item for item in project.snapshots().values() if _has_table(item)]
    existing = project.engine.tables()
    environments = project.context.state_reader.get_environments()
    production = next(item for item in environments if item.name == PROD)
    if production.finalized_ts is None:
        raise ConfigError("a plan of production was interrupted; finish it with `sqlmesh plan`, then run this again")
    ended = sorted(
        item.name for item in environments if item.name != PROD and _has_own(item, production, kept, existing)
    )
    with database.open() as state:
        history.collect(state)  # before the janitor joins rows
    with driver_errors("the environments", "; run this again"), duck.lock_errors():
        try:
            for name in ended:
                project.context.state_sync.invalidate_environment(name)
            project.context.run_janitor(ignore_ttl=True)
        except SQLMeshError as error:
            reason = " ".join(str(error).split())
            raise RetriableError(f"the environments could not be ended: {reason}; run this again") from error
        tables = [exp.to_table(item.table_name(), dialect=DIALECT) for item in kept]
        dropped = _drop_others(project, tables, existing)
        forgotten = project.engine.forget(tables)
    gone = sorted(existing - project.engine.tables())
    done = [f"ended environment {name}; `sqlmesh plan {name}` builds it again" for name in ended]
    if others := [name for name in gone if name not in dropped]:
        done.append(f"dropped {len(others)} tables and views of ended environments and of expired models")
    if dropped:
        done.append(f"dropped {len(dropped)} tables and views that no model owns: {', '.join(sorted(dropped)[:5])}")
    return Removed(tuple(done)) + forgotten


def _has_table(snapshot: Snapshot) -> bool:
    return bool(snapshot.is_model and not snapshot.is_external and not snapshot.is_symbolic)


def _has_own(
    environment: Environment, production: Environment, kept: Collection[Snapshot], existing: Collection[str]
) -> bool:
    """Whether an environment reads tables that production does not: of other versions, or previews."""
    shared = {item.snapshot_id for item in production.snapshots}
    ids = {item.snapshot_id for item in environment.snapshots}
    return not ids <= shared or any(
        item.snapshot_id in ids and plain_name(item.table_name(is_deployable=False)) in existing for item in kept
    )


def _drop_others(project: Project, tables: Collection[exp.Table], existing: Collection[str]) -> set[str]:
    """Drop what is in the schemas of models' tables beside these; returns the names."""
    adapter = project.context.engine_adapter
    names = {f"{table.db}.{table.name}" for table in tables}
    schemas = {table.db for table in tables}
    found: set[str] = set()
    for schema in sorted(schemas & {name.split(".", 1)[0] for name in existing}):
        catalog = next(table.catalog for table in tables if table.db == schema)
        for item in adapter.get_data_objects(schema_(schema, catalog)):
            name = f"{schema}.{item.name}"
            if name in names:
                continue
            drop = adapter.drop_view if item.type.is_view else adapter.drop_table
            drop(exp.table_(item.name, db=schema, catalog=catalog, quoted=True))
            found.add(name)
    return found
