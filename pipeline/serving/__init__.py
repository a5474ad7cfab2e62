"""Serving: the current release in Postgres, for BI tools."""
