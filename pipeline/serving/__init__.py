"""The published state of gold in Postgres, for BI tools."""
