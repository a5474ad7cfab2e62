"""A fuzzer of landing objects: `lake ingest` against a plain reference of records. Run by `python -m tests.fuzz`."""
