"""Sets Spark before SQLMesh starts it, see pipeline/warehouse/spark/session.py.

There is no materialization here, see lock.py.
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
    raise SQLMeshError(str(_error)) from None  # the only kind that SQLMesh shows as one line
