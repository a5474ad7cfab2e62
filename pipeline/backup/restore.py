"""Restores a back-up into an empty lake: ledger, files and records, then releases, then state and warehouse.

Until all of it is there the lake has no identity, so that nobody writes to a part of it; the same call again goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import ConfigError
from ingest.ledger.identity import PLACES, begin_restoring, end_restoring, restoring
from ingest.ledger.ledger import DIGITS, Ledger
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.backup.contents import fetch, restore_all
from pipeline.backup.lake_objects import others_within
from pipeline.backup.manifest import LAKE, RELEASES, STATE, WAREHOUSE, About, Backup, Copied
from pipeline.backup.place import Backups, bring_tombstones, tombstones_at
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import Releases, catalog_key
from pipeline.state.database import Database

_PROBES = "_probe/"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a back-up is restored to."""

    options: Settings
    lake: Store
    releases: Releases
    state: Database


@dataclass(frozen=True, slots=True)
class Restored:
    """A back-up that was restored.

    Attributes:
        bytes: that were written; what an interrupted call has written is not written again.
        tombstones: of erasures after the back-up, which were brought and carried out in the lake.
        has_state, has_warehouse: whether they were restored.
        has_release: whether readers get the release of the back-up; not if an erasure came after it.
    """

    about: About
    objects: int
    bytes: int
    tombstones: tuple[str, ...]
    has_state: bool
    has_warehouse: bool
    has_release: bool


def restore(
    backups: Backups,
    backup: Backup,
    target: Target,
    others: Iterable[Store] = (),
    forget: Callable[[], None] = lambda: None,
) -> Restored:
    """Restore a back-up into an empty lake.

    Args:
        others: lakes or places of back-ups that may have tombstones of later erasures.
        forget: takes the persons of pending tombstones out of bronze; called if there are any from after the back-up.

    Raises:
        ConfigError: something is there already: another lake, releases, a state or a warehouse.
        DamagedBackup: the back-up lacks contents, or has damaged ones; nobody can use the lake.
        RetriableError: a store cannot be reached.
    """
    name = f"back-up {backup.number} of {backups.uri}"
    require_empty(target, backup, name)
    if not begin_restoring(target.lake, name):
        raise ConfigError(f"{target.lake.uri} was taken by another process; expected an empty lake")
    written = restore_lake(backups, backup, target.lake)
    sources = [backups.store, *others]
    later = sorted({found for source in sources for found in tombstones_at(source)} - backup.tombstones)
    for source in sources:
        bring_tombstones(source, target.lake)
    if later:
        forget()
    written += restore_releases(backups, backup, target.releases, show=not later)
    has_warehouse, has_state = _restore_databases(backups, backup, target)
    end_restoring(target.lake, backup.about.lake_id)
    return Restored(
        backup.about,
        len(backup.objects),
        written,
        tuple(later),
        has_state,
        has_warehouse,
        bool(backup.about.release) and not later,
    )


def require_empty(target: Target, backup: Backup, name: str) -> None:
    """Check that nothing would be mixed with what is restored.

    Args:
        name: the back-up, as an interrupted restore noted it.

    Raises:
        ConfigError: there is something.
    """
    unfinished = restoring(target.lake)
    if unfinished == name:
        return
    if unfinished:
        raise ConfigError(
            f"{target.lake.uri}: the restore of {unfinished} was interrupted; run that one again, or delete what it "
            "wrote first"
        )
    options = target.options
    others = others_within(options.lake_uri, options.published_uri, options.landing_uri)
    places = [(target.lake, "LAKE_URI", (_PROBES, *others))]
    places += [(target.releases.store, "PUBLISHED_URI", (_PROBES,))] if backup.about.newest else []
    for store, setting, ignored in places:
        found = next((item.key for item in store.list() if not item.key.startswith(ignored)), None)
        if found is not None:
            raise ConfigError(
                f"{store.uri} is not empty ({found}); expected an empty place for what is restored: set {setting}, or "
                "move away what is there"
            )
    warehouse = Path(options.warehouse_path)
    if not options.has_spark and warehouse.exists():
        raise ConfigError(
            f"{warehouse} exists, and is the warehouse of another lake or of another time; move it away, or set "
            "WAREHOUSE_PATH"
        )
    if not options.has_postgres_state and Path(options.state_path).exists():
        raise ConfigError(f"{options.state_path} exists; move it away, or set STATE_PATH")


def restore_lake(backups: Backups, backup: Backup, lake: Store, until: Mapping[str, int] | None = None) -> int:
    """Restore files and records, then the entries that name them; return the bytes that were written.

    Args:
        until: positions of feeds at which their logs are to end, with no record of a later one; None for all of it.
    """
    there = {item.key: item.size for item in lake.list()}
    items = [item for item in backup.of(LAKE) if item.key not in PLACES and (until is None or _is_before(item, until))]
    entries = [item for item in items if _entry_of(item.key)[1]]
    written = restore_all(backups.store, (item for item in items if not _entry_of(item.key)[1]), lake, there)
    written += restore_all(backups.store, entries, lake, there)
    for feed in sorted({_entry_of(item.key)[0] for item in entries}):
        ledger = Ledger(lake, feed)
        ledger.checkpoint(ledger.state())
    return written


def restore_releases(backups: Backups, backup: Backup, published: Releases, show: bool) -> int:
    """Restore the releases with their catalogs; return the bytes that were written.

    Args:
        show: whether readers get the one that they had.
    """
    store = published.store
    there = {item.key: item.size for item in store.list()}
    items = backup.of(RELEASES)
    manifests = [item for item in items if item.key.endswith("/manifest.json")]
    written = restore_all(backups.store, (item for item in items if item not in manifests), store, there)
    written += restore_all(backups.store, manifests, store, there)
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        for number in published.numbers():
            path = Path(folder) / f"{number}.duckdb"
            write_catalog(published, path, published.get(number))
            store.put(catalog_key(number), path.read_bytes())
    if show and backup.about.release:
        published.point_to(backup.about.release, withhold=backup.about.withheld)
    return written


def _restore_databases(backups: Backups, backup: Backup, target: Target) -> tuple[bool, bool]:
    """Restore the warehouse, then the state, which describes it; return which of them were."""
    has_warehouse = has_state = False
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        for item in backup.of(WAREHOUSE):
            path = Path(target.options.warehouse_path)
            if not target.options.has_spark:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_name(f"{path.name}.restoring")
                fetch(backups.store, item, draft)
                draft.replace(path)
                has_warehouse = True
        for item in backup.of(STATE):
            copy = Path(folder) / "state"
            fetch(backups.store, item, copy)
            has_state = target.state.restore(item.key, copy, backup.about.lake_id)
    return has_warehouse, has_state


def _is_before(item: Copied, until: Mapping[str, int]) -> bool:
    """Whether a lake whose logs end at these positions has an object."""
    feed, number = _entry_of(item.key)
    if number:
        return number <= until.get(feed, 0)
    return not (item.key.startswith(("settled/", "topics/")) or item.key.endswith("/_sweep"))


def _entry_of(key: str) -> tuple[str, int]:
    """Feed and number of an entry; the number is 0 for other objects."""
    match key.split("/"):
        case ["ledger", feed, name] if len(name) == DIGITS + len(".parquet") and name[:DIGITS].isdigit():
            return feed, int(name[:DIGITS])
    return "", 0
