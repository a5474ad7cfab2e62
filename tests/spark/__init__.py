"""Tests of the gateway `spark`. One Spark serves all that run in this process."""
