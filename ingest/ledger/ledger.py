"""The ledger: one append-only log of Parquet entries per feed. A row is visible if and only if its file is live.

Entry N is the object `ledger/<feed>/<N as 20 digits>.parquet`, written with put-if-absent, so exactly one writer gets
each number. Entries are never deleted, renumbered or reused: entries 1..position determine what is live at a position.
A rebuilt log begins with a number greater than any known number of the lost one, and its first entry records that;
earlier entries are void. Every CHECKPOINT_ENTRIES entries, or CHECKPOINT_OBJECTS objects, the sum of all entries is
stored next to the log, see checkpoints.py. A checkpoint is only a cache: the log has the same content.
"""

from __future__ import annotations

import datetime as dt
import io
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyarrow.parquet as pq

from ingest.errors import ConflictError, LostLedger
from ingest.ledger.checkpoints import Checkpoints
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.format import FORMAT_VERSION, format_of, readable
from ingest.ledger.read_entries import ReadEntries
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

CHECKPOINT_ENTRIES, CHECKPOINT_OBJECTS = 64, 5_000
"""Every command reads the objects that are newer than a checkpoint one by one, which takes fifty times as long."""
DIGITS = 20
"""Digits of the number in an entry's name."""
_READ = ReadEntries()


class Ledger:
    """The log of one feed."""

    DRAFT = "_rebuild.parquet"
    """Draft of a rebuilt log's first entry; while it exists, the old log is being moved aside."""

    def __init__(self, store: Store, feed: str) -> None:
        self.store = store
        self.feed = feed
        self.prefix = f"ledger/{feed}"
        self._etags: dict[str, str] = {}  # of the last listing

    def position(self) -> int:
        """Return the number of the newest entry; 0 when there is none.

        Raises:
            LostLedger: an entry is missing, so nothing after it can be trusted.
        """
        checkpoint = self._checkpoints().newest()
        return max(self._sequences(checkpoint), default=checkpoint)

    def first(self) -> int:
        """Return the number of the oldest entry: 1, or greater if the log was rebuilt; 0 if there is none."""
        return min(self._sequences(), default=0)

    def numbers(self) -> set[int]:
        """Return the numbers of all stored entries and checkpoints, consistent or not."""
        keys = (item.key.removeprefix(f"{self.prefix}/") for item in self.store.list(self.prefix))
        names = (key.removeprefix("_checkpoints/").split(".", 1)[0] for key in keys)
        return {int(name) for name in names if len(name) == DIGITS and name.isdigit()}

    def _numbers_of_entries(self) -> set[int]:
        """The numbers of all stored entries, those before a rebuilt log included."""
        names = (item.key.removeprefix(f"{self.prefix}/") for item in self.store.list(self.prefix))
        found = (name.removesuffix(".parquet") for name in names if "/" not in name)
        return {int(name) for name in found if len(name) == DIGITS and name.isdigit()}

    def state(self, position: int | None = None) -> LedgerState:
        """Return the state at a position, by default the newest one; empty if a rebuilt log begins after it."""
        return self._state(position, with_objects=True)

    def advance(self, state: LedgerState) -> LedgerState:
        """Advance a state to the newest position: cheaper than reading it for one who has a recent one."""
        if not state.position or self.store.find(self._key(state.position)) is None:  # the log was rebuilt
            return self.state()
        with suppress(FileNotFoundError):
            while True:
                state.apply(state.position + 1, self._entry(state.position + 1))
        return state

    def live_files(self, position: int | None = None) -> list[LakeFile]:
        """Return the live bronze files at a position, by default the newest one; cheaper than the whole state."""
        return self.live(position).bronze_files()

    def live(self, position: int | None = None) -> LedgerState:
        """Return the state at a position without its objects."""
        return self._state(position, with_objects=False)

    def _state(self, position: int | None, with_objects: bool) -> LedgerState:
        checkpoints = self._checkpoints()
        state = checkpoints.state(position, with_objects)
        for sequence, entry in self._entries(state.position, position, with_objects):
            state.apply(sequence, entry)
        if position is None:
            self.require_position(checkpoints.newest(), state.position, "a checkpoint")
        return state

    def entries(self, after: int, until: int | None = None) -> Iterator[tuple[int, Entry]]:
        """Yield the entries after a position, up to and including `until`, in order.

        Raises:
            LostLedger: the log is shorter than `after` or `until`, for instance after restoring a backup.
        """
        return self._entries(after, until, with_objects=True)

    def entries_with_objects(self, state: LedgerState, after: int = 0) -> list[int]:
        """Return the numbers of the entries up to a state that may have objects: of a topic's thousands not many.

        Args:
            after: a position of this log; only entries after it are returned.
        """
        if state.position <= after:
            return []
        since = state.ranges.since or state.position + 1
        first = after + 1 if after else self.first()
        return [*range(first, since), *(number for number in state.ranges.object_entries if number > after)]

    def entry(self, sequence: int) -> Entry:
        """Return one entry.

        Raises:
            FileNotFoundError: there is no such entry.
        """
        return self._entry(sequence)

    def entries_without_objects(self, after: int, until: int | None = None) -> Iterator[tuple[int, Entry]]:
        """Like `entries`, without reading what they say about objects."""
        return self._entries(after, until, with_objects=False)

    def committed_at(self, position: int) -> dt.datetime:
        """Return when an entry was committed, by its writer's clock."""
        return self._entry(position, with_objects=False).committed_at

    def first_of_format(self, version: int, numbers: Sequence[int]) -> int:
        """Return the place of the first of these entries that has this format or a newer one; their count if none has.

        A writer of an older format cannot read a newer one and so never appends to it: a binary search is enough.

        Args:
            numbers: of existing entries, in order.
        """
        older, newer = -1, len(numbers)
        while newer - older > 1:
            # check the first entry first: most logs never changed their format
            middle = 0 if older < 0 and newer == len(numbers) else (older + newer) // 2
            key = self._key(numbers[middle])
            with self.store.open(key) as source, readable(f"{self.store.uri}/{key}"):
                is_older = format_of(pq.read_schema(source)) < version
            older, newer = (middle, newer) if is_older else (older, middle)
        return newer

    def load_at(self, position: int) -> str:
        """Return the load that an entry committed; empty when a rebuilt log begins after it.

        Raises:
            LostLedger: the entry is missing.
        """
        try:
            return self._entry(position, with_objects=False).load_id
        except FileNotFoundError:
            if position >= self.first():
                raise self.lost(f"lacks entry {position}") from None
            return ""

    def lost(self, what: str) -> LostLedger:
        """Return the error that stops all writers of this feed."""
        return LostLedger(f"{self.store.uri}/{self.prefix}", what, self.feed)

    def require_position(self, position: int, newest: int, known_to: str) -> None:
        """Check that a log that ends at `newest` reaches a position that was read before.

        Args:
            known_to: where that position is recorded.

        Raises:
            LostLedger: the log is shorter.
        """
        if position > newest:
            raise self.lost(f"ends at entry {newest}, but entry {position} was read before ({known_to})")

    def _entries(self, after: int, until: int | None, with_objects: bool) -> Iterator[tuple[int, Entry]]:
        sequences = self._sequences(after)
        self.require_position(until or 0, max(sequences, default=after), "the requested position")
        wanted = [n for n in sequences if until is None or n <= until]
        if len(wanted) == 1:  # as most often, which is not worth threads
            yield wanted[0], self._listed(wanted[0], with_objects)
            return
        with ThreadPoolExecutor(8) as pool:
            yield from zip(wanted, pool.map(lambda n: self._listed(n, with_objects), wanted), strict=True)

    def commit(self, entry: Entry, seen: int) -> int:
        """Append an entry after all entries committed meanwhile.

        Args:
            entry: the entry.
            seen: the position at which it was planned.

        Returns:
            The entry's number.

        Raises:
            ConflictError: another writer took one of its objects or files, or abandoned it. Plan again.
        """
        sequence, data = seen + 1, entry.to_bytes()
        while not self.store.put_new(self._key(sequence), data):
            other = self._entry(sequence)
            if other.load_id == entry.load_id:
                return sequence  # this very entry: the store wrote it, the response was lost
            if entry.conflicts_with(other):
                raise ConflictError(f"{self.feed}: entry {sequence} ({other.load_id}) was committed first")
            sequence += 1
        return sequence

    def rewrite(self, change: Callable[[Entry], Entry]) -> None:
        """Overwrite the entries that a change of names makes others, and replace all checkpoints.

        For an erasure alone; numbers and counts stay. Entries of an older format are written in the current one, since
        no log has an older format after a newer one.
        """
        for number in sorted(self._numbers_of_entries()):
            key = self._key(number)
            data = self.store.get(key)
            entry = Entry.from_bytes(data, f"{self.store.uri}/{key}")
            changed = change(entry)
            if changed is not entry or format_of(pq.read_schema(io.BytesIO(data))) < FORMAT_VERSION:
                self.store.put(key, changed.to_bytes())
        checkpoints = self._checkpoints()
        checkpoints.clear()
        checkpoints.write(self.state())

    def checkpoint(self, state: LedgerState) -> bool:
        """Write a checkpoint of the state, if the log has grown enough since the last one.

        Safe at any time and with any number of writers, see checkpoints.py.

        Returns:
            Whether it was written.
        """
        checkpoints = self._checkpoints()
        grown = state.position - checkpoints.newest()
        if grown < CHECKPOINT_ENTRIES and state.objects.recent_count < CHECKPOINT_OBJECTS:
            return False
        # other writers may have superseded what this state was read from
        return checkpoints.write(state) or self._checkpoints().write(self.state())

    def prune_checkpoints(self) -> None:
        """Delete what an interrupted `checkpoint` left of those that are superseded."""
        self._checkpoints().prune()

    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.store, self.prefix)

    def _sequences(self, after: int = 0) -> list[int]:
        """Return the numbers of the entries after a position, which must itself exist.

        Raises:
            LostLedger: an entry is missing.
        """
        self._etags = {
            item.key: item.etag for item in self.store.list(self.prefix, after=self._key(after - 1) if after else None)
        }
        keys = list(self._etags)
        if f"{self.prefix}/{self.DRAFT}" in keys:
            raise self.lost("is incomplete: a rebuild was interrupted")
        names = (key.rsplit("/", 1)[1] for key in keys)
        found = sorted(int(name[:DIGITS]) for name in names if len(name) == DIGITS + 8 and name.endswith(".parquet"))
        found = found[bisect_left(found, after) :]
        expected = [after or 1, *(number + 1 for number in found)]
        gaps = [place for place, number in enumerate(found) if number != expected[place]]
        for place in reversed(gaps):  # after the last gap a rebuilt log may begin
            if self._entry(found[place], with_objects=False).begins == found[place]:
                return found[place:]
        if gaps:
            raise self.lost(
                f"lacks entry {expected[gaps[0]]}: {self.store.uri}/{self._key(expected[gaps[0]])} is missing"
            )
        if after and not found:
            self.require_position(after, max(self._sequences(), default=0), "a checkpoint or the requested position")
        return found[bool(after) :]

    def _key(self, sequence: int) -> str:
        return f"{self.prefix}/{sequence:020d}.parquet"

    def _listed(self, sequence: int, with_objects: bool) -> Entry:
        """An entry of the last listing, which may have been read before."""
        key = self._key(sequence)
        etag = self._etags.get(key)
        version = (self.store.uri, key, etag or "", with_objects)
        found = _READ.get(version) if etag else None
        if found is None:
            found = self._entry(sequence, with_objects)
            if etag:
                _READ.add(version, found)
        return found

    def _entry(self, sequence: int, with_objects: bool = True) -> Entry:
        key = self._key(sequence)
        return Entry.from_bytes(self.store.get(key), f"{self.store.uri}/{key}", with_objects)
