"""What a cycle or a command uses of what costs money: CPU, memory, requests, bytes moved and stored.

Quantities are in the units of seeds/prices.csv, whose names they have. A process that is killed leaves none.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import LakemeshError
from ingest.schemes import scheme_of
from ingest.settings import Settings
from ingest.storage.store import Store
from ingest.storage.traffic import counted
from pipeline.cycle.summary import RunSummary
from pipeline.cycle.usage_record import keep
from pipeline.lake import Lake
from pipeline.monitoring.cycles import peak_memory
from pipeline.process.contain import contained
from pipeline.process.spent import cpu_seconds, start_up_seconds

GB = 1e9
_MOVED = ("read", "written")


@dataclass(frozen=True, slots=True)
class Used:
    """A quantity of something that has a price.

    Attributes:
        kind: `cpu`, `memory`, `model`, `request`, `moved` or `stored`.
        item: stage, model, place and operation, or place.
        price: name of the price in seeds/prices.csv.
        quantity: in the unit of the price; of `stored` the GB at that moment.
    """

    kind: str
    item: str
    price: str
    quantity: float


class Meter:
    """What this process uses from now on, and before for its start."""

    def __init__(self) -> None:
        self._start_up = start_up_seconds()
        self._cpu, self._began, self._traffic = cpu_seconds(), time.monotonic(), counted()

    def read(self, options: Settings, stages: Mapping[str, float], rest: str) -> list[Used]:
        """CPU by stage, memory, requests and bytes moved since the last call.

        Args:
            stages: CPU seconds by stage.
            rest: the stage that has what they leave.
        """
        cpu, now, traffic = cpu_seconds(), time.monotonic(), counted()
        spent = {**stages, rest: cpu - self._cpu - sum(stages.values()), "start-up": self._start_up}
        held = peak_memory() / GB * (now - self._began + self._start_up)
        moved = {key: number - self._traffic[key] for key, number in traffic.items()}
        self._cpu, self._began, self._traffic, self._start_up = cpu, now, traffic, 0.0
        found = [Used("cpu", stage, "cpu", seconds) for stage, seconds in spent.items()]
        found.append(Used("memory", "peak of the process", "memory", held))
        totals: Counter[tuple[str, str, str]] = Counter()
        for (uri, operation), number in moved.items():
            totals[place_of(uri, options), scheme_of(uri), operation] += number
        found += [_request(*key, number) for key, number in totals.items()]
        return [item for item in found if item.quantity > 0]


def place_of(uri: str, options: Settings) -> str:
    """What lies at the address of a store: `lake`, `releases` or `landing`."""
    if uri == options.lake_uri:
        return "lake"
    return "releases" if uri.startswith(options.published_uri) else "landing"


def cycle_usage(lake: Lake, meter: Meter, summary: RunSummary) -> list[Used]:
    """What a cycle used, with what is stored of the parts that it changed.

    Raises:
        ConfigError, RetriableError: the ledger of a feed that it loaded cannot be read.
    """
    found = meter.read(lake.options, summary.cpu_seconds, "other")
    scheme = scheme_of(lake.options.lake_uri)
    found += [_request("duckdb", scheme, name, number) for name, number in summary.engine_requests.items()]
    found += [Used("model", name, "model", done.seconds) for name, done in summary.computed.items()]
    for feed in summary.ingest.feeds if summary.ingest else ():
        if feed.loads:
            found += _feed_stored(lake, feed.feed, feed.landing_bytes)
    if summary.computed:
        found += _files_stored(lake.options)
    return [item for item in found if item.quantity > 0]


def lake_stored(lake: Lake) -> list[Used]:
    """What is stored in lake and releases, by listing them, which is for `lake maintain` and not for each cycle.

    Raises:
        ConfigError, RetriableError: a store cannot be listed.
    """
    return [*_listed(lake.store, "lake"), *_listed(lake.releases.store, "releases"), *_files_stored(lake.options)]


@contextmanager
def metered(lake: Lake, command: str, failed: Callable[[LakemeshError], None]) -> Iterator[Callable[[], None]]:
    """Keep what the body uses as the stage `command`; what it used so far, whenever it calls the function that it gets.

    Args:
        failed: receives why it could not be kept.
    """
    meter = Meter()

    def note() -> None:
        with contained("the record of what was used", failed):
            keep_usage(lake, meter.read(lake.options, {}, command))

    try:
        yield note
    except BaseException:
        with suppress(LakemeshError):  # the body's own error says what is wrong
            keep_usage(lake, meter.read(lake.options, {}, command))
        raise
    note()


def keep_usage(lake: Lake, found: Iterable[Used], run_id: str = "") -> None:
    """Keep what was used, for the record.

    Args:
        run_id: of the cycle.

    Raises:
        Busy, RetriableError: it cannot be written.
    """
    keep(lake.options, [_row(item) for item in found], run_id)


def _row(item: Used) -> tuple[str, str, str, float]:
    return item.kind, item.item, item.price, round(item.quantity, 9)


def _request(place: str, scheme: str, operation: str, number: int) -> Used:
    name, price = f"{place} {operation}", f"{scheme}_{operation}"
    return Used("moved", name, price, number / GB) if operation in _MOVED else Used("request", name, price, number)


def _feed_stored(lake: Lake, feed: str, landing_bytes: int | None) -> Iterator[Used]:
    sizes: Counter[str] = Counter()
    for path, file in lake.ledger(feed).live().files.items():
        sizes[path.split("/", 1)[0]] += file.bytes
    price = _stored_at(lake.options.lake_uri)
    for layer, size in sizes.items():
        yield Used("stored", f"lake {layer} {feed}", price, size / GB)
    if landing_bytes is not None:
        yield Used("stored", f"landing {feed}", _stored_at(lake.options.landing_uri), landing_bytes / GB)


def _listed(store: Store, place: str) -> Iterator[Used]:
    sizes: Counter[str] = Counter()
    for item in store.list():
        layer, _, rest = item.key.partition("/")
        feed = rest.split("/", 1)[0] if place == "lake" and "/" in rest else ""
        sizes[" ".join(part for part in (place, layer if place == "lake" else "", feed) if part)] += item.size
    for name, size in sizes.items():
        yield Used("stored", name, _stored_at(store.uri), size / GB)


def _files_stored(options: Settings) -> Iterator[Used]:
    for name, path in (("warehouse", options.warehouse_path), ("state", options.state_path)):
        if Path(path).is_file():
            yield Used("stored", name, "disk_stored", Path(path).stat().st_size / GB)


def _stored_at(uri: str) -> str:
    return f"{scheme_of(uri) or 'disk'}_stored"
