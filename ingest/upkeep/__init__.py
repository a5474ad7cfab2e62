"""Maintenance of the lake: compaction, clean-up, and retirement of source objects."""
