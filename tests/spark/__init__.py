"""Tests of the gateway `spark`. One Spark serves all tests of this process."""
