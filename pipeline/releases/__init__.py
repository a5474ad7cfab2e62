"""Releases: audited copies of gold for readers."""
