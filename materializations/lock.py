"""Makes SQLMesh hold the lock of a shared state while it computes; pipeline/state/compute_lock.py explains why.

This is not a materialization: materializations/ is the only folder of Python files that SQLMesh imports in every
command that computes, before it reads which intervals are missing. `sqlmesh run` does not import macros.
"""

from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings

try:
    if settings().has_postgres_state:
        from pipeline.state.compute_lock import install

        install()
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only exception that SQLMesh prints on one line
