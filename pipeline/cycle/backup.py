"""`lake backup` and `lake restore` on an opened lake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.ledger.tombstones import checked_key
from ingest.steps.erase import erase
from ingest.storage.lock import host_lock
from ingest.storage.store import Store
from pipeline.backup.place import Backups
from pipeline.backup.restore import Restored, Target, restore
from pipeline.backup.take import Source, Taken, prune, take, withdraw
from pipeline.cycle.erase_requests import OPEN, requests_of
from pipeline.lake import Lake


def back_up(
    lake: Lake,
    uri: str,
    with_warehouse: bool = False,
    full: bool = False,
    keep: int | None = None,
    wait_seconds: float = 0.0,
) -> Taken:
    """Take a back-up, and delete those of before an erasure that is carried out.

    Args:
        keep: number of newest back-ups to keep; all of them if None.
        wait_seconds: how long to wait for a process that uses the state or the warehouse.

    Raises:
        ConfigError: the place is within the lake or the releases, or cannot be used.
        RetriableError: a store cannot be reached, or another process uses the state.
    """
    _require_apart(lake, uri)
    backups = Backups(uri, lake.options)

    def erased() -> list[str]:
        return sorted(item.name for item in requests_of(lake) if item.status != OPEN)

    engine = lake.engine if with_warehouse else None
    source = Source(lake.options, lake.store, lake.releases, lake.state, engine, erased)
    with _numbered(backups, lake):
        taken = take(source, backups, lambda: dt.datetime.now(dt.UTC), wait_seconds, full)
        taken = replace(taken, withdrawn=withdraw(backups, taken.about.erased))
        return replace(taken, pruned=prune(backups, keep)) if keep else taken


def restore_backup(lake: Lake, uri: str, number: int | None, others: Sequence[str] = ()) -> Restored:
    """Restore a back-up, by default the newest one, into the empty lake of the settings.

    Persons who were forgotten after the back-up are forgotten again, as far as their tombstones are known at the place
    of back-ups or at `others`.

    Args:
        others: addresses of lakes that may have more tombstones.

    Raises:
        ConfigError: the lake is not empty, there is no such back-up, or the key of tombstones is missing.
        RetriableError: contents are damaged, or a store cannot be reached.
    """
    backups = Backups(uri, lake.options)
    backup = backups.get(number)
    target = Target(lake.options, lake.store, lake.releases, lake.state)
    if (backup.tombstones or backups.tombstones() or others) and not lake.options.lake_erasure_key:
        checked_key(lake.options.lake_erasure_key)

    def forget() -> None:
        now = dt.datetime.now(dt.UTC)
        for contract in contracts().values():
            erase(contract, lake.store, lake.ledger(contract.feed), lake.tombstones, now)

    try:
        return restore(backups, backup, target, [Store(other, lake.options) for other in others], forget)
    finally:
        lake.store.close()
        lake.releases.store.close()


def _require_apart(lake: Lake, uri: str) -> None:
    for other in (lake.options.lake_uri, lake.options.published_uri):
        if f"{uri}/".startswith(f"{other}/") or f"{other}/".startswith(f"{uri}/"):
            raise ConfigError(f"{uri} is within {other} or has it within; expected a place that is not lost with it")


@contextmanager
def _numbered(backups: Backups, lake: Lake) -> Iterator[None]:
    """Keep other back-ups on this host away, where the store would let two of them take one number."""
    try:
        if backups.store.honours_put_if_absent():
            yield
        else:
            with host_lock(Path(lake.options.lake_home) / "locks", backups.uri):
                yield
    finally:
        backups.store.close()
