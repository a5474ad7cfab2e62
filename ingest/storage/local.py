"""A local folder of raw files from producers, in which neither names nor links are trusted.

Links are followed only to targets below the folder. A file is opened component by component, without following links
(`O_NOFOLLOW`); if the path contains a link, its resolved path must be below the folder, and is opened in the same way.
So a component that is replaced by a link after the check is not followed either.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from ingest.storage.names import (
    LINK_DANGLING,
    LINK_LOOP,
    LINK_NESTED,
    LINK_OUTSIDE,
    LISTED,
    PERMISSION_DENIED,
    SPECIAL_FILE,
    UNREADABLE,
    key_problem,
)
from ingest.text import printable

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_FIRST, _LAST = (
    (day.replace(tzinfo=dt.UTC) - EPOCH) // _MICROSECOND for day in (dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
)
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # does not block if a pipe replaces the file
_LINK_IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}
BATCH = 10_000
"""Maximum rows of a listing that are Python objects."""
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}
"""Error codes for a file that does not exist, or cannot exist."""

_Result = TypeVar("_Result")


class Refused(Exception):  # noqa: N818  handled by reporting the object
    """A name does not lead to a loadable file.

    Attributes:
        reason: one of names.REASONS.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def etag_of(status: os.stat_result) -> str:
    """Return the version of a local file: inode, modification time in µs and size, in hex, as in object_store."""
    return f"{status.st_ino:x}-{status.st_mtime_ns // 1000:x}-{status.st_size:x}"


def modified_at(status: os.stat_result) -> dt.datetime:
    """Return when a file was modified, UTC; a time outside Python's calendar becomes its first or last day."""
    return EPOCH + _modified_us(status) * _MICROSECOND


def _modified_us(status: os.stat_result) -> int:
    return min(max(status.st_mtime_ns // 1000, _FIRST), _LAST)


def inspect(root: str, key: str) -> os.stat_result | None:
    """Return a file's current status, None when it does not exist; links are followed below `root`.

    Raises:
        Refused: it exists and cannot be loaded.
        OSError: the file system fails.
    """
    if not is_path(key):
        return None
    try:
        status = _at(root, key, _status)
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        if os.path.islink(path := f"{root}/{key}"):  # noqa: PTH114  Path.is_symlink raises where it has no access
            _require_below(os.path.realpath(root), os.path.realpath(path))
            raise Refused(LINK_DANGLING) from None
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise Refused(SPECIAL_FILE)
    if problem := key_problem(key):
        raise Refused(problem)
    return status


def open_file(root: str, key: str) -> int:
    """Open a file for reading; nothing outside `root` is ever opened. The caller closes the descriptor.

    Raises:
        Refused: its path has a link that leads outside, or a loop.
        OSError: it does not exist, or cannot be read.
    """
    return _at(root, key, lambda place, name: os.open(name, FILE, dir_fd=place))


def remove_file(root: str, key: str) -> None:
    """Delete a file, or the link if it is a link; nothing outside `root` is ever deleted.

    Raises:
        Refused: the path of its folder has a link that leads outside.
        OSError: it does not exist, or must not be deleted.
    """
    real = os.path.realpath(root)
    folder, _, name = key.rpartition("/")
    path = f"{_inside(real, f'{real}/{folder}')}/{name}"
    _walk(real, path[len(real) + 1 :], lambda place, name: os.unlink(name, dir_fd=place))


def is_path(key: str) -> bool:
    """Whether a key can be the path of a file, so that a listing of the folder shows it unchanged.

    >>> is_path("a/b"), is_path("/a"), is_path("a//b"), is_path("a/../b"), is_path("a\\0"), is_path("")
    (True, False, False, False, False, False)
    """
    return "\0" not in key and {"", ".", ".."}.isdisjoint(key.split("/"))


def scan(root: str, prefix: str = "") -> pa.Table:
    """Return every file below a folder as columns LISTED, unordered; `problem` is set for what cannot be loaded.

    Links to files and folders below `root` are followed. In a folder reached by a link, links to folders are not: so
    each link costs at most one walk, however links are arranged. Files that disappear during the scan are omitted.

    Args:
        root: the bucket's folder; it may itself be a link.
        prefix: whole path segments below it, without a trailing slash.

    Raises:
        OSError: the folder itself cannot be read.
    """
    found = _Found(os.path.realpath(root))
    top = f"{found.root}/{prefix}" if prefix else found.root
    key = f"{prefix}/" if prefix else ""
    try:
        real = _inside(found.root, top)
    except Refused as refused:
        found.refuse(key, refused.reason)
        return found.table()
    except OSError as error:
        if error.errno in ABSENT:
            return found.table()
        raise
    folders = [(real, key, real != top)]
    while folders:
        path, key, is_linked = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # it was deleted
                        if below := found.take(entry, key, is_linked):
                            folders.append(below)
                    if len(found.keys) >= BATCH:
                        found.pack()
        except OSError as error:
            if path == real and error.errno not in ABSENT:
                raise
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:  # it was deleted, or replaced by a file
                found.refuse(key, _reason(error))
    return found.table()


@dataclass(slots=True)
class _Found:
    """The files that a scan has found so far.

    Attributes:
        root: the bucket's folder, without links in its path.
        packed: earlier rows as columns, which take a quarter of the memory.
        problems: problems of the other rows, by row number.
    """

    root: str
    packed: list[pa.Table] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    etags: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    def take(self, entry: os.DirEntry[str], folder: str, is_linked: bool) -> tuple[str, str, bool] | None:
        """Add an entry of a folder; for a folder to scan, return its path, key and whether a link led there."""
        key = folder + entry.name
        if entry.is_dir(follow_symlinks=False):
            return entry.path, f"{key}/", is_linked
        if not entry.is_symlink():
            self.add(key, entry.stat(follow_symlinks=False))
            return None
        try:
            target = self._target(entry.path)
            status = os.lstat(target)
            if not stat.S_ISDIR(status.st_mode):
                self.add(key, status)
            elif is_linked:
                raise Refused(LINK_NESTED)
            elif entry.path.startswith(f"{target}/"):
                raise Refused(LINK_LOOP)
            else:
                return target, f"{key}/", True
        except Refused as refused:
            self.refuse(key, refused.reason)
        except OSError as error:
            self.refuse(key, LINK_DANGLING if error.errno in ABSENT else _reason(error))
        return None

    def _target(self, link: str) -> str:
        """Return the target of a link, as a path without links.

        Raises:
            Refused: the link leads outside, whether the target exists or not, or in a loop.
            OSError: the target does not exist or cannot be determined.
        """
        try:
            return _inside(self.root, link)
        except OSError:
            _require_below(self.root, os.path.realpath(link))
            raise

    def add(self, key: str, status: os.stat_result) -> None:
        """Add a file."""
        problem = None if stat.S_ISREG(status.st_mode) else SPECIAL_FILE
        if problem is None and not key.isprintable():
            problem = key_problem(key)
        if problem is not None:
            self.refuse(key, problem)
            return
        self.keys.append(key)
        self.etags.append(etag_of(status))
        self.sizes.append(status.st_size)
        self.times.append(_modified_us(status))

    def refuse(self, key: str, problem: str) -> None:
        """Add a file that cannot be loaded."""
        self.problems[len(self.keys)] = problem
        self.keys.append(printable(key))
        self.etags.append("")
        self.sizes.append(0)
        self.times.append(0)

    def table(self) -> pa.Table:
        """Return all rows as one table."""
        self.pack()
        return pa.concat_tables(self.packed)

    def pack(self) -> None:
        """Convert the pending rows to columns."""
        times = pa.array(self.times, pa.int64()).cast(LISTED.field("modified_at").type)
        problems = pa.nulls(len(self.keys), pa.string())
        if self.problems:
            problems = pa.array([self.problems.get(row) for row in range(len(self.keys))], pa.string())
        columns = [pa.array(self.keys, pa.string()), pa.array(self.etags, pa.string())]
        columns += [pa.array(self.sizes, pa.int64()), times, problems]
        self.packed.append(pa.table(columns, schema=LISTED))
        for rows in (self.keys, self.etags, self.sizes, self.times, self.problems):
            rows.clear()


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return LINK_LOOP
    return PERMISSION_DENIED if error.errno in {errno.EACCES, errno.EPERM} else UNREADABLE


def _status(place: int, name: str) -> os.stat_result:
    status = os.stat(name, dir_fd=place, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return status


def _at(root: str, key: str, action: Callable[[int, str], _Result]) -> _Result:
    """Run an action on a name in its folder; links in the path are resolved first, and must lead below `root`.

    Raises:
        Refused: a link leads outside, or in a loop.
        OSError: the action or opening the folder fails.
    """
    try:
        return _walk(root, key, action)
    except OSError as error:
        if error.errno not in _LINK_IN_THE_WAY:
            raise
    real = os.path.realpath(root)
    return _walk(real, _inside(real, f"{real}/{key}")[len(real) + 1 :], action)


def _walk(root: str, key: str, action: Callable[[int, str], _Result]) -> _Result:
    """Run an action on a name in its folder, whose path has no links, except that `root` may be one."""
    *folders, name = key.split("/")
    place = os.open(root, FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = below
        return action(place, name)
    finally:
        os.close(place)


def _inside(root: str, path: str) -> str:
    """Return the path, without links, of something below `root`, which has no links either.

    Raises:
        Refused: it is outside `root`, or links form a loop.
        OSError: it does not exist.
    """
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(LINK_LOOP) from None
        raise
    _require_below(root, real)
    return real


def _require_below(root: str, path: str) -> None:
    if path != root and not path.startswith(f"{root.rstrip('/')}/"):
        raise Refused(LINK_OUTSIDE)
