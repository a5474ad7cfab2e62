"""Objects that a check writes to try what works, and removes."""

PROBE = "_probe-"
"""Beginning of their names; they lie beside what the lake reads, so that no folder is made for them."""
