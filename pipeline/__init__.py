"""One cycle over the lake, and the command line `lake`."""

import os

# SQLMesh forks to parse models that its cache lacks. A process with threads (Tokio's, Arrow's, DuckDB's) should not:
# children may stop for ever, or live on when it is killed. It reads this when it is imported.
os.environ.setdefault("MAX_FORK_WORKERS", "1")
