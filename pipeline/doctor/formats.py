"""Formats: of the ledger, of recorded contracts and of releases, against what this version reads."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow.parquet as pq

from ingest.contracts.contract import Contract, contracts
from ingest.errors import LakemeshError
from ingest.ledger.agreement import Record
from ingest.ledger.format import FORMAT_VERSION, READABLE_VERSIONS, format_of, readable
from ingest.ledger.ledger import DIGITS, Ledger
from ingest.storage.store import Store
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake
from pipeline.releases import release
from pipeline.releases.release import Releases, manifest_key

_NEWER = "install the version of Lakemesh that wrote it, or a newer one"


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report = Reporter("formats")
    loaded: dict[int, list[str]] = {}
    for feed, contract in contracts().items():
        ledger = lake.ledger(feed)
        about = f"ledger of {feed}"
        try:
            position = ledger.position()
            if not position:
                continue
            number = format_at(lake.store, ledger, position)
            if number not in READABLE_VERSIONS:
                known = f"one of {', '.join(map(str, READABLE_VERSIONS))}"
                yield report.fail(about, f"format {number} at entry {position}", known, _NEWER)
                continue
            loaded.setdefault(number, []).append(feed)
            yield from _contract(report, contract, ledger)
        except LakemeshError as error:
            step = "docs/operations.md, When something is lost"
            yield report.fail(about, str(error), "a log that can be read", step)
    for number, feeds in sorted(loaded.items()):
        older = f", older than {FORMAT_VERSION}, which the next load writes" if number < FORMAT_VERSION else ""
        yield report.ok("ledger", f"format {number} of {len(feeds)} feeds{older}")
    if not loaded:
        yield report.ok("ledger", "nothing is loaded yet")
    yield _release(report, lake.releases)


def format_at(store: Store, ledger: Ledger, position: int) -> int:
    """Return the format of one entry.

    Raises:
        ConfigError: the entry is damaged.
    """
    key = f"{ledger.prefix}/{position:0{DIGITS}d}.parquet"
    with store.open(key) as source, readable(f"{store.uri}/{key}"):
        return format_of(pq.read_schema(source))


def _contract(report: Reporter, contract: Contract, ledger: Ledger) -> Iterator[Finding]:
    """Whether this checkout is older than what loaded the feed."""
    text = ledger.live().contract
    recorded = Record.parse(text).version if text else contract.version
    if recorded > contract.version:
        step = "update this checkout: with the older contract the feed does not load"
        found = f"version {contract.version}, but loaded with version {recorded}"
        yield report.fail(f"contract of {contract.name}", found, f"version {recorded} or later", step)


def _release(report: Reporter, releases: Releases) -> Finding:
    about = f"releases ({releases.store.uri})"
    number = releases.pointer().get("state")
    if number is None:
        return report.ok(about, "nothing is published yet")
    key = manifest_key(number)
    try:
        found = json.loads(releases.store.get(key)).get("format")
    except (FileNotFoundError, ValueError):
        step = "`lake publish --list` shows what is kept, `lake publish` writes a new one"
        return report.fail(about, f"release {number} has no manifest that can be read", "a manifest", step)
    if found in range(1, release.FORMAT_VERSION + 1):
        return report.ok(about, f"release {number} has format {found}")
    return report.fail(about, f"release {number} has format {found}", f"1 to {release.FORMAT_VERSION}", _NEWER)
