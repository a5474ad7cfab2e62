"""Invalidation: the dates that new loads changed, to be recomputed."""
