"""Which dates have to be recomputed because of what was loaded."""
