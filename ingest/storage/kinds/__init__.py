"""The kinds of storage behind `Store` and `Landing`, a module each; ingest/schemes.py registers them."""
