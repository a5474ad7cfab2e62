"""What the server tells Prometheus: its own measures, and those of the lake."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector

from pipeline.lake import Lake
from pipeline.monitoring.exposition import Exporter

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
UNKNOWN = "other"
"""The route of requests that none answers: their paths are as many as their senders like."""


class Measures:
    """Counts requests, and reads the measures of the lake now and then."""

    def __init__(self, lake: Lake) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._seconds = Histogram(
            "lakemesh_api_request_seconds",
            "Wall time from a request to the end of its answer.",
            ["route", "status"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._exporter = Exporter(lake, registry)

    def note(self, route: Any, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: that answered it, if any did.
        """
        self._seconds.labels(getattr(route, "path", UNKNOWN), status).observe(seconds)

    def page(self) -> bytes:
        """The answer of `/metrics`."""
        return self._exporter.page()
