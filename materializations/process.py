"""Makes Python's garbage collector run rarely in SQLMesh's own commands, as in those of `lake`; see ingest/process.py.

This is not a materialization: materializations/ is the only folder of Python files that SQLMesh imports in every
command that computes. A tenth of the time of `sqlmesh test` went into collections that find nothing.
"""

from ingest.process import collect_rarely

collect_rarely()
