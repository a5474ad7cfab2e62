"""The state database: SQLMesh's intervals, Lakemesh's applied positions, and the locks on both."""
