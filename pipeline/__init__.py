"""The cycle over the lake, and the command line `lake`."""

import os

# SQLMesh forks to parse models missing from its cache. A process with threads (Tokio, Arrow, DuckDB) must not fork:
# children may hang forever, or survive when it is killed. SQLMesh reads this variable on import.
os.environ.setdefault("MAX_FORK_WORKERS", "1")
