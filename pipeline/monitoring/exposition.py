"""The measures in Prometheus's text format: for `/metrics`, for `lake status --prometheus` and for METRICS_FILE."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError, LakemeshError
from ingest.storage.folders import make_folder
from pipeline.lake import Lake
from pipeline.monitoring.definitions import DEFINITIONS, Measured, Sample
from pipeline.monitoring.feeds import feed_measures
from pipeline.monitoring.kept import kept_samples
from pipeline.monitoring.known import Known, keep_known, read_known
from pipeline.monitoring.release import release_measures, storage_measures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 30.0
"""How long a server gives the same measures of landings and ledgers: not every scrape lists the buckets."""

FOLDER_MODE, FILE_MODE = 0o755, 0o644
"""Of METRICS_FILE: the exporter runs as another user."""


class Exporter:
    """Measures of a lake that are read again at most once in a while, for a process that is scraped.

    Args:
        registry: a CollectorRegistry of prometheus-client with the process's own measures, whose names do not begin as
            those of DEFINITIONS; it is shown after them.
        fresh_seconds: how long measures that cost a listing are kept.
        known: what was found before; it is brought up to date.
    """

    def __init__(
        self,
        lake: Lake,
        registry: Any = None,
        fresh_seconds: float = FRESH_SECONDS,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        known: Known | None = None,
    ) -> None:
        self._lake, self._registry, self._fresh, self._now = lake, registry, fresh_seconds, now
        self._known = known or Known()
        self._measured: Measured | None = None
        self._read_at = 0.0

    def measure(self) -> Measured:
        """What the lake has now, or had at most `fresh_seconds` ago; what processes have left is always read."""
        if self._measured is None or time.monotonic() - self._read_at >= self._fresh:
            self._measured = self._read()
            self._read_at = time.monotonic()
        own = tuple(kept_samples(self._lake.options))
        return Measured(self._measured.samples + own, self._measured.errors)

    def page(self) -> bytes:
        """The answer of `/metrics`, of the type CONTENT_TYPE. May be called from several threads.

        Raises:
            ConfigError: prometheus-client is not installed, or a contract is invalid.
        """
        own = import_module("prometheus_client").generate_latest(self._registry) if self._registry else b""
        return exposition(self.measure().samples) + own

    def _read(self) -> Measured:
        lake = self._lake
        feeds = feed_measures(
            contracts().values(), lake.landings, lake.store, lake.kafka, self._now(), self._known.reasons
        )
        release = release_measures(lake.releases, self._known.quality)
        storage = tuple(storage_measures(lake.options, feeds.samples))
        return Measured(feeds.samples + release.samples + storage, feeds.errors + release.errors)


def require_client() -> Any:
    """The package prometheus_client.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("prometheus_client")
    except ModuleNotFoundError:
        raise ConfigError(
            "measures for Prometheus need prometheus-client: install the extra `serve`, as with "
            "`pip install 'lakemesh[serve]'` or `make setup-serve`"
        ) from None


def exposition(samples: Iterable[Sample]) -> bytes:
    """Samples in Prometheus's text format.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    client = require_client()
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.name, []).append(sample)

    class Collector:
        def collect(self) -> Iterator[Any]:
            core = import_module("prometheus_client.core")
            for name, definition in DEFINITIONS.items():
                if name in found:
                    kind = core.CounterMetricFamily if definition.kind == "counter" else core.GaugeMetricFamily
                    family = kind(name, definition.help, labels=definition.labels)
                    for sample in found[name]:
                        family.add_metric(sample.labels, sample.value)
                    yield family

    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return bytes(client.generate_latest(registry))


def write_file(lake: Lake, now: dt.datetime) -> tuple[LakemeshError, ...]:
    """Write METRICS_FILE atomically, as a text file for the collector of that name of the node exporter.

    Returns:
        Why measures are missing from it.

    Raises:
        ConfigError: prometheus-client is not installed.
        OSError: the file cannot be written.
    """
    require_client()
    path = Path(lake.options.metrics_file)
    known = read_known(lake.options)
    found = Exporter(lake, now=lambda: now, known=known).measure()
    keep_known(lake.options, known)
    make_folder(path.parent, FOLDER_MODE)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")  # the exporter reads only *.prom
    draft.write_bytes(exposition(found.samples))
    draft.chmod(FILE_MODE)
    draft.replace(path)
    return found.errors
