"""Holds the lock of a shared state while SQLMesh computes (pipeline/state/compute_lock.py says why).

There is no materialization here: this is the one folder of Python that SQLMesh imports in every command that computes,
before it reads what is missing. `sqlmesh run` imports no macros.
"""

from sqlmesh.utils.errors import SQLMeshError

from ingest.errors import LakemeshError
from ingest.settings import settings

try:
    if settings().has_postgres_state:
        from pipeline.state.compute_lock import install

        install()
except LakemeshError as _error:
    raise SQLMeshError(str(_error)) from None  # the only kind that SQLMesh shows as one line
