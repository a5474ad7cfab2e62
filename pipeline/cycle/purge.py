"""Removes what an erasure leaves behind bronze: old releases, environments, free blocks, dead rows, files on this host.

Bronze is rewritten, and a release without the person published, before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingest.errors import ConfigError, LakemeshError
from ingest.settings import PROJECT
from pipeline.cycle.cycle import exclusive_cycle
from pipeline.cycle.leftovers import clean_home, delete_drafts
from pipeline.lake import Lake
from pipeline.portal.publication import follow, prune
from pipeline.process.contain import contained
from pipeline.process.removed import Removed
from pipeline.releases import roles
from pipeline.releases.erasures import recorded
from pipeline.releases.release import Releases
from pipeline.releases.withdraw import Withdrawn, withdraw, withdraw_of_role


@dataclass(frozen=True, slots=True)
class Place:
    """A place behind bronze.

    Attributes:
        error: why nothing more was removed there; None if nothing failed.
    """

    name: str
    removed: Removed = field(default_factory=Removed)
    error: LakemeshError | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing remains that can be removed from here."""
        return self.error is None and not self.removed.left


@dataclass(frozen=True, slots=True)
class Purge:
    """What was removed, by place.

    Attributes:
        request: id of the erasure.
        release: number of the first release without the person.
    """

    request: str
    release: int
    places: tuple[Place, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every place is clean; otherwise the same call goes on."""
        return all(place.is_clean for place in self.places)

    @property
    def exit_code(self) -> int:
        """0 done, 1 something remains, 2 a setting is wrong."""
        if any(isinstance(place.error, ConfigError) for place in self.places):
            return 2
        return 0 if self.is_complete else 1


def purge(lake: Lake, request: str, release: int, wait_seconds: float = 0.0) -> Purge:
    """Remove what holds rows of before a release from every place behind bronze.

    A place that fails stops no other. Safe to interrupt at any point, and to call again: the next call finishes. State
    and warehouse may not be open in this process.

    Args:
        request: id of the erasure, without a value of a person; names its record beside the releases.
        release: number of the first release without the person.
        wait_seconds: how long to wait for a cycle in progress.

    Raises:
        Busy: a cycle is in progress.
        ConfigError: that release is not kept.
    """
    now = dt.datetime.now(dt.UTC)
    with exclusive_cycle(lake, wait_seconds):
        lake.releases.get(release)
        return Purge(request, release, tuple(_places(lake, request, release, now, wait_seconds)))


def _places(lake: Lake, request: str, release: int, now: dt.datetime, wait_seconds: float) -> Iterator[Place]:
    yield _place("releases", partial(_releases, lake, request, release, now))
    names = sorted(roles.registered(lake.releases))
    for name in names:
        yield _place(f"releases of role {name}", partial(_role, lake, name, request))
    caches: list[Path] = []
    yield _place("environments", partial(_environments, lake, caches))
    yield _place("warehouse", partial(lake.engine.rewrite, lake.options))
    yield _place("state", lake.state.rewrite)
    if lake.options.serving_dsn:
        wait = max(wait_seconds, lake.options.state_lock_seconds)
        yield _place("Postgres", partial(_serving, lake, "", release, wait))
        for name in names:
            yield _place(f"Postgres of role {name}", partial(_serving, lake, name, release, wait))
    cache = next(iter(caches), None)
    folders = {Path(PROJECT), Path.cwd()}
    yield _place("files on this host", partial(clean_home, lake.options, folders, cache))


def _place(name: str, remove: Callable[[], Removed]) -> Place:
    errors: list[LakemeshError] = []
    removed = Removed()
    with contained(name, errors.append):
        removed = remove()
    return Place(name, removed, next(iter(errors), None))


def _releases(lake: Lake, request: str, release: int, now: dt.datetime) -> Removed:
    done = withdraw(lake.releases, release, request, now)
    return _shown(lake.releases, done) + _pages(lake.releases) + delete_drafts(lake.releases)


def _role(lake: Lake, name: str, request: str) -> Removed:
    """Withdraw from a role what was withdrawn from everybody."""
    numbers = next((item.withdrawn for item in recorded(lake.releases.store) if item.request == request), None)
    if numbers is None:
        raise ConfigError("the releases of everything are not withdrawn yet, which is an error of its own")
    own = _own(lake, name)
    done = withdraw_of_role(own, name, numbers)
    removed = _shown(own, done) + _pages(own) + delete_drafts(own)
    if not done.has_current:
        removed += Removed(
            (f"{own.store.uri}: its readers get no release until `lake run` has written the current one",)
        )
    return removed


def _own(lake: Lake, name: str) -> Releases:
    return Releases(roles.settings_of(lake.options, name)) if name else lake.releases


def _shown(published: Releases, done: Withdrawn) -> Removed:
    if not (done.numbers or done.files):
        return Removed()
    which = ", ".join(map(str, done.numbers)) or "none"
    return Removed(
        (f"{published.store.uri}: withdrew releases {which}, deleted {done.files} files, {done.bytes:,} bytes",)
    )


def _pages(published: Releases) -> Removed:
    deleted = prune(published)
    follow(published)
    return Removed((f"{published.store.uri}/portal: deleted {deleted} files of withdrawn releases",) if deleted else ())


def _environments(lake: Lake, caches: list[Path]) -> Removed:
    """End environments, and delete what a rebuild set aside.

    Args:
        caches: receives the folder of SQLMesh's cache.
    """
    from pipeline.warehouse.environments import end_environments
    from pipeline.warehouse.project import open_project

    with open_project(lake.state) as project:
        project.require_tables()
        caches.append(project.context.cache_dir)
        done = end_environments(project, lake.state)
    lake.engine.drop_aside(lake.options)  # production is complete, so no rebuild needs it
    lake.state.drop_aside()
    return done


def _serving(lake: Lake, name: str, release: int, wait_seconds: float) -> Removed:
    from pipeline.serving.vacuum import vacuum  # needs the extra `postgres`

    own = _own(lake, name)
    return vacuum(own.options, own, release, wait_seconds)
