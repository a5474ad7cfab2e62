"""Configures the engine before SQLMesh starts it; see pipeline/warehouse/spark/session.py.

This is not a materialization: SQLMesh imports materializations/ in every command that computes, as lock.py explains.
"""

from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings
from pipeline.warehouse.engines import engine_type

try:
    engine_type(settings()).configure(settings())
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only exception that SQLMesh prints on one line
