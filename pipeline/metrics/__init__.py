"""Metrics: numbers that are defined once, in metrics/<domain>.yaml, and computed from a release."""
