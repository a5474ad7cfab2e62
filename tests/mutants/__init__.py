"""Measure the models' unit tests: put small faults into the queries, and count how many the tests notice."""
