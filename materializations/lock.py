"""Makes SQLMesh hold the lock of a shared state while it computes; pipeline/state/shared.py explains why.

This is not a materialization: materializations/ is the only folder of Python files that SQLMesh imports in every
command that computes, before it reads which intervals are missing. `sqlmesh run` does not import macros.
"""

from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings
from pipeline.state.opening import state_database

try:
    state_database(settings()).install(lambda: state_database(settings()))
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only exception that SQLMesh prints on one line
