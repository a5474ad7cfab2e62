"""Landing to bronze: small raw objects become typed Parquet, each record exactly once.

The steps are the modules: discover, plan, read, parse, write, and the ledger that commits them.
"""
