"""Rights: what a lake does with its places is tried with a probe object, which is removed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.doctor.finding import Finding, Reporter
from pipeline.doctor.probe import PROBE
from pipeline.lake import Lake

PLACES = 2
"""Landing places in one line."""
LOOKED_AT = 20
"""Objects of a landing among which one that can be read is looked for."""


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report = Reporter("rights")
    yield from of_store(report, "LAKE_URI", lake.store)
    yield from of_store(report, "PUBLISHED_URI", lake.releases.store)
    yield from _landings(report, lake)


def of_store(report: Reporter, setting: str, store: Store) -> Iterator[Finding]:
    """Try to list, put, read and delete, and whether the store honours conditional writes."""
    about = f"{setting} ({store.uri})"
    if store.root is not None and not store.root.exists():
        yield _to_come(report, about, store.root)
        return
    key, data = f"{PROBE}{uuid.uuid4().hex}", uuid.uuid4().bytes
    works = []
    for what, act in (("list", lambda: next(store.list(), None)), ("put", lambda: store.put(key, data))):
        if failed := _tried(report, about, what, act):
            yield failed
        else:
            works.append(what)
    if "put" not in works:
        return  # nothing is there to be read or deleted
    read = _tried(report, about, "get", lambda: _same(store.get(key), data))
    deleted = _tried(report, about, "delete", lambda: store.delete([key]), f", then delete {store.uri}/{key}")
    yield from filter(None, (read, deleted))
    works += ["get"] * (not read) + ["delete"] * (not deleted)
    yield report.ok(about, f"{', '.join(works)} work")
    if not deleted:
        yield _conditional(report, about, store)


def _conditional(report: Reporter, about: str, store: Store) -> Finding:
    """Whether of several writers exactly one gets a name, which the ledger rests on."""
    about = f"{about}, conditional writes"
    try:
        honoured = store.honours_put_if_absent()
    except LakemeshError as error:
        return report.fail(about, str(error), "If-None-Match is honoured", "give this user the right to write there")
    if honoured:
        return report.ok(about, "honoured: any number of ingesters")
    step = "ingest on one host alone, where a lock file keeps ingesters apart, or choose another store (docs/s3.md)"
    return report.warn(about, "accepted and ignored", "If-None-Match is honoured", step)


def _to_come(report: Reporter, about: str, root: Path) -> Finding:
    """A folder that is made by the first write."""
    parent = next(folder for folder in root.parents if folder.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return report.ok(about, f"not there yet; this user can make it in {parent}")
    step = f"make the folder for this user, or let it write to {parent}"
    return report.fail(about, f"not there, and {parent} cannot be written", "a folder that can be made", step)


def _landings(report: Reporter, lake: Lake) -> Iterator[Finding]:
    """Whether the bucket of each feed can be listed and read."""
    feeds: dict[str, list[str]] = {}
    for contract in contracts().values():
        if contract.source.bucket:
            feeds.setdefault(contract.source.bucket, []).append(contract.feed)
    missing: dict[str, list[str]] = {}
    read = []
    for bucket, of_bucket in sorted(feeds.items()):
        landing = lake.landings.bucket(bucket)
        about = f"landing {landing.uri}"
        try:
            if not landing.is_there():
                missing[landing.uri] = of_bucket
                continue
            _read_one(landing)
        except LakemeshError as error:
            step = f"let this user list and read it; until then {', '.join(of_bucket)} cannot load"
            yield report.fail(about, str(error), "a place that can be listed and read", step)
        else:
            read.append(bucket)
    if read:
        yield report.ok("LANDING_URI", f"{len(read)} places can be listed and read")
    if missing:
        shown = ", ".join(islice(missing, PLACES)) + f" and {len(missing) - PLACES} more" * (len(missing) > PLACES)
        step = "ignore this if those feeds are not used; otherwise correct LANDING_URI, or mount it"
        make = report.warn if read else report.fail
        yield make("LANDING_URI", f"not there: {shown}", "a place for each feed", step)


def _read_one(landing: Landing) -> None:
    """Read the beginning of one object, if there is any."""
    for item in islice(landing.list(), LOOKED_AT):
        if found := landing.find(item.key):
            next(landing.read(found), b"")
            return


def _same(found: bytes, written: bytes) -> None:
    if found != written:
        raise LakemeshError("the probe object has other content than was written")


def _tried(report: Reporter, about: str, what: str, act: Callable[[], object], then: str = "") -> Finding | None:
    """The finding for a right that is missing; None if it is there."""
    try:
        act()
    except (LakemeshError, FileNotFoundError) as error:
        return report.fail(f"{about}, {what}", str(error), f"the right to {what}", f"grant it to this user{then}")
    return None
