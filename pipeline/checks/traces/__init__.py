"""The proof of an erasure: decode everything that a lake has, and find what is left of a person's values in it."""
