"""SQLMesh's state database beside our own records: intervals, applied positions, locks."""
