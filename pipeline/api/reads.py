"""Who read what, for the audit log: noted before an answer is sent, and added as one entry for many reads.

    <LAKE_HOME>/api/reads-<batch>.ndjson     reads that are in no entry yet, a line each, written before the answer
    <LAKE_URI>/audit_log/<number>.json       `data_read`: the reads of a batch, counted

An entry per read would be an object per request. A process that is killed loses none: its file is added by the next
server; a machine that loses power loses what its disk had not yet, at most the last second. Entries name tables and
metrics, never the text of a statement, which may have a value of a person in it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import fcntl
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ingest.errors import LakemeshError
from pipeline.access.audit_log import AuditLog
from pipeline.api.keys import Caller
from pipeline.api.problems import Kind, Problem

LOG = logging.getLogger(__name__)
WHAT = "data_read"
FOLDER = "api"
SYNC_SECONDS = 1.0
MOST_KINDS = 1000
"""Reads that differ in more than their number, after which a batch is added early."""
_SLACK = dt.timedelta(hours=1)
"""Difference of clocks that is allowed for when an entry of a batch is looked for."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read.

    Attributes:
        by: name of the key, or subject of the token.
        role: whose release; empty for that of everything.
        how: table, metrics, sql, catalog, object or portal.
        of: tables, or the object, that was read.
    """

    by: str
    role: str
    how: str
    of: tuple[str, ...]
    release: int
    rows: int


class Reads:
    """The reads of this server that are in no entry yet.

    Args:
        home: LAKE_HOME.
        seconds: how long reads wait for others of their entry.
    """

    def __init__(self, log: AuditLog, home: Path, seconds: float) -> None:
        self._log, self._folder, self._seconds = log, home / FOLDER, seconds
        self._open: _Spool | None = None
        self._is_unsynced = False

    def note(self, caller: Caller, how: str, of: Iterable[str], release: int, rows: int) -> None:
        """Note a read, before its answer is sent.

        Raises:
            Problem: it cannot be noted, so it must not be answered.
        """
        read = Read(caller.name, caller.role, how, tuple(sorted(of)), release, rows)
        try:
            if self._open is None:
                self._open = _Spool.create(self._folder)
            self._open.add(read)
        except OSError as error:
            raise Problem(
                Kind.UNAVAILABLE, f"the read cannot be noted for the audit log ({error.strerror}); try again later"
            ) from None
        self._is_unsynced = True

    async def keep(self) -> None:
        """Add what is due to the audit log, until this is cancelled."""
        await asyncio.to_thread(self.recover)
        waited = 0.0
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            waited += SYNC_SECONDS
            spool = self._open
            if spool is not None and self._is_unsynced:
                self._is_unsynced = False
                await asyncio.to_thread(spool.sync)
            if spool is not None and (waited >= self._seconds or spool.kinds >= MOST_KINDS):
                waited = 0.0
                self._open = None  # here, so that no read is noted in a file that is being added
                await asyncio.to_thread(self._add, spool)
                await asyncio.to_thread(self.recover)

    def flush(self) -> None:
        """Add the reads so far as one entry; what cannot be added is added later."""
        spool, self._open = self._open, None
        if spool is not None:
            self._add(spool)

    def recover(self) -> None:
        """Add what servers that ended left."""
        for path in sorted(self._folder.glob("reads-*.ndjson")):
            spool = _Spool.take(path)
            if spool is not None:
                self._add(spool)

    def _add(self, spool: _Spool) -> None:
        try:
            if spool.kinds and not self._has(spool):
                self._log.append(WHAT, spool.about())
            spool.delete()
        except LakemeshError as error:
            LOG.error("event=reads_not_added file=%s error=%s", spool.path, error)
            spool.close()  # the next flush or server adds it
        except OSError as error:
            LOG.error("event=reads_not_added file=%s error=%s", spool.path, error.strerror)

    def _has(self, spool: _Spool) -> bool:
        """Whether an entry of the batch exists, as after a kill between the entry and the deletion of its file."""
        if not spool.is_recovered:
            return False
        since = spool.created - _SLACK
        for event in self._log.recent():
            if event.at < since:
                return False
            if event.what == WHAT and event.about.get("batch") == spool.batch:
                return True
        return False


class _Spool:
    """A file of reads, locked while its server lives."""

    def __init__(self, path: Path, descriptor: int, is_recovered: bool) -> None:
        self.path, self.is_recovered = path, is_recovered
        self._descriptor = descriptor
        self._counts: dict[tuple[Any, ...], list[int]] = {}
        self.created = dt.datetime.fromtimestamp(os.fstat(descriptor).st_mtime, dt.UTC)

    @classmethod
    def create(cls, folder: Path) -> _Spool:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"reads-{uuid.uuid4().hex}.ndjson"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return cls(path, descriptor, is_recovered=False)

    @classmethod
    def take(cls, path: Path) -> _Spool | None:
        """The file of a server that ended; None while it lives, or if another one takes it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if not os.fstat(descriptor).st_nlink:  # added and deleted meanwhile
            os.close(descriptor)
            return None
        spool = cls(path, descriptor, is_recovered=True)
        for read in _lines(path):
            spool._count(read)
        return spool

    @property
    def batch(self) -> str:
        return self.path.stem.removeprefix("reads-")

    @property
    def kinds(self) -> int:
        return len(self._counts)

    def add(self, read: Read) -> None:
        os.write(self._descriptor, json.dumps(asdict(read)).encode() + b"\n")
        self._count(read)

    def sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            LOG.error("event=reads_not_synced file=%s error=%s", self.path, error.strerror)

    def about(self) -> dict[str, Any]:
        """The details of the entry."""
        names = ("by", "role", "how", "of", "release")
        reads = [
            dict(zip(names, key, strict=True)) | {"reads": count, "rows": rows}
            for key, (count, rows) in sorted(self._counts.items())
        ]
        return {"batch": self.batch, "since": self.created.isoformat(timespec="seconds"), "reads": reads}

    def close(self) -> None:
        os.close(self._descriptor)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def _count(self, read: Read) -> None:
        found = self._counts.setdefault((read.by, read.role, read.how, read.of, read.release), [0, 0])
        found[0] += 1
        found[1] += read.rows


def _lines(path: Path) -> Iterator[Read]:
    for line in path.read_bytes().splitlines():
        try:
            raw = json.loads(line)
            yield Read(**raw | {"of": tuple(raw["of"])})
        except (ValueError, TypeError, KeyError):
            LOG.warning("event=read_cut_short file=%s", path)  # the last line of a machine that lost power
