"""Alerts: contract violations, reporting and channels."""
