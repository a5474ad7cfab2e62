"""Benchmarks, each against a peer in the same run. Each module is a command; README.md has results and conditions."""
