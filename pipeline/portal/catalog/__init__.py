"""The catalog: what a release is made of, from the fields of source objects to tiles, for people and tools."""
