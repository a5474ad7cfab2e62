"""How a process that computes loads the project: without unit tests, which `sqlmesh plan` and `sqlmesh test` run."""

from __future__ import annotations

from sqlmesh.core.loader import SqlMeshLoader
from sqlmesh.core.test import ModelTestMetadata


class ComputingLoader(SqlMeshLoader):  # type: ignore[misc]  # SQLMesh publishes no types
    """Load models, audits and macros as SQLMesh does, and no unit tests, whose files cost a fifth of loading."""

    def load_model_tests(self) -> list[ModelTestMetadata]:
        """Return no tests."""
        return []
