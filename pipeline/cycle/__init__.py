"""The cycle from the landing to a release, and the other writing commands."""
