"""Ingestion from landing to bronze: small raw objects become typed Parquet, each record exactly once.

The steps are discover, plan, read, parse and write, one module each; the ledger commits their result.
"""
