"""Withdraws releases for an erasure: deletes those of before it, with every file that no kept release names."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ingest.errors import ConfigError
from pipeline.releases.erasures import Erasure, record
from pipeline.releases.export import sweep
from pipeline.releases.release import (
    CURRENT,
    CURRENT_CATALOG,
    Release,
    Releases,
    catalog_key,
    manifest_key,
    suspect_key,
)
from pipeline.releases.roles import claim


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was deleted.

    Attributes:
        numbers: of the withdrawn releases, with those of interrupted calls.
        files, bytes: of tables, deleted by this call, orphans of killed publications among them.
        has_current: whether readers still get a release.
    """

    numbers: tuple[int, ...]
    files: int
    bytes: int
    has_current: bool


def withdraw(published: Releases, number: int, request: str, now: dt.datetime) -> Withdrawn:
    """Withdraw every release before a given one, unless all of its files are files of that one, too.

    Safe to interrupt at any point, and to call again. No other process may publish meanwhile.

    Args:
        number: of the first release without the person.
        request: id of the erasure.

    Raises:
        ConfigError: readers get an older release, as after a rollback, or that release is not kept.
        RetriableError: the store cannot be reached.
    """
    clean = published.get(number)
    _require_shown(published, number, request)
    old = tuple(kept for kept in published.numbers() if kept < number and _files(published.get(kept)) - _files(clean))
    noted = record(published.store, Erasure(request, number, old, now))
    _require_shown(published, number, request)  # a rollback looks at the record after it moved the pointer
    return _delete(published, noted.withdrawn)


def withdraw_of_role(own: Releases, name: str, withdrawn: tuple[int, ...]) -> Withdrawn:
    """Withdraw a role's releases of these numbers; if readers get one of them, they get none until the next cycle.

    Raises:
        ConfigError: what is at the role's place was not written for it, so nothing is deleted.
        RetriableError: the store cannot be reached.
    """
    claim(own, name)
    if own.pointer().get("state") in withdrawn:
        own.store.delete([CURRENT, CURRENT_CATALOG])
    return _delete(own, withdrawn)


def _require_shown(published: Releases, number: int, request: str) -> None:
    """Check that readers get a release without the person: one that they were rolled back to may be from before.

    Raises:
        ConfigError: they may not.
    """
    pointer = published.pointer()
    shown = int(pointer.get("state", 0))
    if shown == number and pointer.get("held") and published.numbers()[-1] > number:
        raise ConfigError(
            f"{published.store.uri}: readers were rolled back to release {shown}, which may be from before erasure "
            f"{request}; publish the newest release with `lake publish`, then run the erasure again"
        )
    if shown < number:
        raise ConfigError(
            f"{published.store.uri}: readers get release {shown}, which is from before erasure {request}; publish "
            f"release {number} with `lake publish`, then run the erasure again"
        )


def _delete(published: Releases, numbers: tuple[int, ...]) -> Withdrawn:
    """Delete releases, the manifest first, without which a release does not exist."""
    store = published.store
    store.delete(key(number) for number in numbers for key in (manifest_key, catalog_key, suspect_key))
    swept = sweep(published, max(numbers, default=0))
    return Withdrawn(numbers, swept.files, swept.bytes, bool(published.pointer()))


def _files(release: Release) -> set[str]:
    return {file.key for table in release.tables.values() for file in table.files}
