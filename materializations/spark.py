"""Configures Spark before SQLMesh starts it; see pipeline/warehouse/spark/session.py.

This is not a materialization: SQLMesh imports materializations/ in every command that computes, as lock.py explains.
"""

from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings

try:
    if settings().has_spark:
        from pipeline.warehouse.spark.session import configure, install

        configure(settings())
        install()
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only exception that SQLMesh prints on one line
