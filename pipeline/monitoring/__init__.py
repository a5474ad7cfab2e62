"""What a lake tells monitors: measures for Prometheus, and events of its cycles for OpenLineage."""
