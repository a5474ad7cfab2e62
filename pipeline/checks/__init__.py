"""Read-only checks of a lake: verification, record lineage, status."""
