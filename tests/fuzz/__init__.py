"""A fuzzer of landing objects: `lake ingest` against a plain account of records. `python -m tests.fuzz` runs it."""
