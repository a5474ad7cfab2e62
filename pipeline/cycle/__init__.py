"""One cycle from the landing to a release, and the commands beside it."""
