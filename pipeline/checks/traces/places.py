"""Places where Lakemesh keeps data: stores, folders of this machine, and Postgres."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ingest.schemes import is_remote
from ingest.settings import PROJECT, Settings
from ingest.storage.store import Store
from pipeline.access.roles import schema_of, store_of
from pipeline.checks.traces import objects, postgres
from pipeline.checks.traces.matcher import Found, Matcher
from pipeline.checks.traces.objects import OWN, Object
from pipeline.process.postgres import connect as connect_to_state
from pipeline.releases.release import Releases
from pipeline.releases.roles import registered
from pipeline.serving.session import connect as connect_to_serving

if TYPE_CHECKING:
    from pipeline.process.postgres import Session

TEMPORARY = "lakemesh-*"
"""Names of the temporary folders that Lakemesh uses."""
STATE_SCHEMAS = ("sqlmesh", "lakemesh", "sqlmesh_before_rebuild", "lakemesh_before_rebuild")


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched at a time.

    Attributes:
        key: name of the object, which is searched too; empty if it has none.
        size: stored bytes, as far as they are known.
        search: yields what is found, with the part.
    """

    key: str
    size: int
    search: Callable[[Matcher], Iterator[tuple[str, Found | str]]]


class Place(Protocol):
    """Somewhere that data is kept.

    Attributes:
        name: for reports.
        keeps_deleted: whether what a database keeps of deleted rows is a trace: not if it never had any of persons, or
            was rewritten after the erasure.
    """

    @property
    def name(self) -> str: ...

    @property
    def keeps_deleted(self) -> bool: ...

    def tasks(self) -> Iterator[Task]:
        """Yield all objects, files or databases."""
        ...


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder of this machine with everything below it, drafts and hidden files included.

    Attributes:
        names: patterns of what directly below it is part of the place.
        without: absolute paths that are not.
    """

    name: str
    folder: Path
    names: tuple[str, ...] = ("*",)
    without: tuple[re.Pattern[str], ...] = ()
    keeps_deleted: bool = True

    def tasks(self) -> Iterator[Task]:
        """See Place. A folder that does not exist has nothing; one that cannot be read fails when it is searched."""
        waiting = [path for name in self.names for path in self.folder.glob(name)] if self.folder.is_dir() else []
        while waiting:
            path = waiting.pop()
            key = path.relative_to(self.folder).as_posix()
            if any(pattern.fullmatch(str(path)) for pattern in self.without) or path.name.startswith(OWN):
                continue
            try:
                about = path.lstat()
                if stat.S_ISDIR(about.st_mode):
                    with os.scandir(path) as found:
                        inner = [Path(item.path) for item in found]
                    waiting += inner
                    if not inner:
                        yield Task(key, 0, _nothing)
                elif stat.S_ISREG(about.st_mode):
                    one = Object(key, about.st_size, partial(path.open, "rb"), path)
                    yield Task(key, about.st_size, partial(objects.search, one))
                elif stat.S_ISLNK(about.st_mode):
                    yield Task(f"{key} -> {path.readlink()}", 0, partial(_link, path))
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Task(key, 0, partial(_failing, error))


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A bucket, or a part of one, with all objects as they are now. Older versions that it keeps are not read."""

    name: str
    store: Store
    keeps_deleted: bool = True

    def tasks(self) -> Iterator[Task]:
        """See Place.

        Raises:
            ConfigError, RetriableError: it cannot be listed.
        """
        for item in self.store.kind.list("", None):  # with drafts
            one = Object(item.key, item.size, partial(self.store.open, item.key))
            yield Task(item.key, item.size, partial(objects.search, one))


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """Schemas of a Postgres database.

    Attributes:
        connect: opens a session that may read them.
    """

    name: str
    connect: Callable[[], Session]
    schemas: tuple[str, ...]
    keeps_deleted: bool = True

    def tasks(self) -> Iterator[Task]:
        """See Place."""
        yield Task("", 0, self._search)

    def _search(self, matcher: Matcher) -> Iterator[tuple[str, Found | str]]:
        with closing(self.connect()) as session:
            session.rollback()
            session.autocommit = True
            yield from postgres.search(session, self.schemas, matcher)


def place_at(name: str, address: str, options: Settings, keeps_deleted: bool = True) -> Place:
    """The place at an address: a folder or a bucket, such as one of the landing.

    Args:
        options: the settings that give access to it.
    """
    if is_remote(address):
        return StorePlace(name, Store(address, options), keeps_deleted)
    return FolderPlace(name, Path(address), keeps_deleted=keeps_deleted)


def places_of(options: Settings, lake: Store, published: Releases, *, rewritten: bool = False) -> list[Place]:
    """All places that Lakemesh writes to: lake, releases of everybody, warehouse, state, Postgres, LAKE_HOME.

    The landing is not among them, even below LAKE_HOME: `place_at(name, options.landing(bucket), options)`.

    Args:
        lake: bronze, quarantine and ledger.
        published: the releases of everything, which name the roles that have releases.
        rewritten: whether warehouse and Postgres were rewritten since the values were deleted, so that what they
            keep of rows deleted later is no trace. The state never has rows of persons.

    Raises:
        ConfigError, RetriableError: the releases cannot be read.
    """
    roles = sorted(registered(published))
    keeps = not rewritten
    addresses = {"lake": lake.uri, "releases": options.published_uri}
    addresses |= {f"releases of {role}": store_of(options.published_uri, role) for role in roles}
    found = [place_at(name, address, options) for name, address in addresses.items()]
    found.append(_database("warehouse", Path(options.warehouse_path), keeps))
    found.append(_database("state", Path(options.state_path), False))
    own = [_exactly(address) for address in addresses.values() if not is_remote(address)]
    own += [_exactly(f"{path}{end}") for path in (options.warehouse_path, options.state_path) for end in _DATABASE]
    if not is_remote(options.landing_uri):
        before, after = options.landing_uri.split("{bucket}", 1)
        own.append(re.compile(re.escape(before) + "[^/]+" + re.escape(after)))
    home = Path(options.lake_home)
    found.append(FolderPlace("home", home, without=tuple(own), keeps_deleted=keeps))
    if not Path(options.notifications_path).is_relative_to(home):
        found.append(FolderPlace("notifications", Path(options.notifications_path)))
    for folder in dict.fromkeys((PROJECT, Path.cwd())):
        found.append(FolderPlace(f"logs and caches of {folder}", folder, ("logs", ".cache")))
    found.append(FolderPlace("temporary folders", Path(tempfile.gettempdir()), (TEMPORARY,)))
    if options.serving_dsn:
        schemas = (options.serving_schema, *(schema_of(options.serving_schema, role) for role in roles))
        found.append(PostgresPlace("Postgres", lambda: connect_to_serving(options)[0], schemas, keeps))
    if options.has_postgres_state:
        found.append(PostgresPlace("state in Postgres", lambda: connect_to_state(options), STATE_SCHEMAS, False))
    return found


_DATABASE = ("", ".wal", ".tmp")


def _database(name: str, path: Path, keeps_deleted: bool) -> FolderPlace:
    """A DuckDB file with what DuckDB writes beside it."""
    names = tuple(_quoted(f"{path.name}{end}") for end in _DATABASE)
    return FolderPlace(name, path.parent, names, keeps_deleted=keeps_deleted)


def _quoted(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _exactly(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path.rstrip("/")))


def _nothing(_: Matcher) -> Iterator[Any]:
    return iter(())


def _failing(error: OSError, _: Matcher) -> Iterator[Any]:
    raise error


def _link(path: Path, _: Matcher) -> Iterator[tuple[str, Found | str]]:
    """Fail for a link that leads elsewhere: what is there is in no place."""
    if path.exists():
        raise OSError("a link, which is not followed; name its target as a place of its own")
    return iter(())


def landing_places(options: Settings, buckets: Iterable[str]) -> list[Place]:
    """The buckets that producers write to, as places."""
    return [place_at(f"landing {bucket}", options.landing(bucket), options) for bucket in buckets]
