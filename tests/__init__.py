"""The tests. Settings that must precede the import of SQLMesh are made here."""

import os

# SQLMesh forks to parse models. A process with threads (Arrow's, Tokio's, DuckDB's) must not: children crash at random.
os.environ.setdefault("MAX_FORK_WORKERS", "1")
