"""One attempt at a load: read, parse and write its objects, up to the entry that would commit them."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError, describe, is_defect
from ingest.ledger.dropped import Dropped
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import unrecorded
from ingest.ledger.files import LakeFile
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import Tombstones
from ingest.limits import Limits
from ingest.records.parsed import Reject
from ingest.records.parts import Broken, LongLine, ObjectEnd, Piece, Unread, WholeObject
from ingest.records.report import Progress
from ingest.records.waiting import Waiting
from ingest.steps.loading import Loading, new_load_id
from ingest.steps.read import StreamFailed, read_pieces
from ingest.steps.rewrite import rewrite_without
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store


class DefectiveLoad(Exception):  # noqa: N818  handled by loading the objects separately
    """A defect that some object of a load hits; loading the objects separately shows which."""

    def __init__(self, error: BaseException, size: int) -> None:
        among = f"this object, or one of {size - 1:,} others in its load, causes an " if size > 1 else ""
        super().__init__(f"{among}unexpected {describe(error)}; a defect, please report it with the logged traceback")
        self.error = error


class Attempt:
    """One attempt at a load, up to its ledger entry."""

    def __init__(
        self,
        contract: Contract,
        landing: Landing,
        lake: Store,
        state: LedgerState,
        objects: list[Waiting],
        corrupt: dict[str, str],
        dropped: Dropped,
        started_at: dt.datetime,
        limits: Limits,
        tombstones: Tombstones,
    ) -> None:
        self.load_id = new_load_id(started_at)
        self.contract, self.landing, self.lake, self.state = contract, landing, lake, state
        self.objects, self.corrupt, self.dropped, self.started_at = objects, corrupt, dropped, started_at
        self.before = state.objects.lookup(item.source_file for item in objects if item.replaces)
        self.limits, self.tombstones = limits, tombstones
        self.loading = Loading(contract, lake, objects, self.load_id, started_at, tombstones)
        self.changed: set[str] = set()
        self.stuck: dict[str, str] = {}
        self.rewritten: list[LakeFile] = []
        self.hashes: dict[int, str] = {}

    def run(self, progress: Progress | None) -> Entry | None:
        """Read and write all objects, or leave nothing behind. The entry is None if no object could be read."""
        try:
            with self.lake.disk_errors():
                return self._run(progress)
        except BaseException as error:
            self.discard()
            if is_defect(error) and not isinstance(error, ObjectChanged | StreamFailed):
                raise DefectiveLoad(error, len(self.objects)) from error
            raise

    def _run(self, progress: Progress | None) -> Entry | None:
        known, loading = self._known_content(), self.loading
        numbers = [
            number for number, item in enumerate(self.objects) if number not in known and not self._is_corrupt(item)
        ]
        reading = [self.objects[number] for number in numbers]
        for part in read_pieces(self.landing, self.contract, reading, self.limits):
            item = reading[part.source]
            number = numbers[part.source]
            if isinstance(part, WholeObject):
                self.hashes[number] = part.content_hash
                if progress:
                    progress(1, item.version.size)
                part = Piece(number, 1, part.data)
            elif isinstance(part, ObjectEnd | Unread):
                if isinstance(part, ObjectEnd):
                    self.hashes[number] = part.content_hash
                elif isinstance(part.reason, ObjectChanged):
                    self.changed.add(item.source_file)
                else:
                    self.stuck[item.source_file] = str(part.reason)
                if progress:
                    progress(1, item.version.size)
                continue
            if isinstance(part, Broken):
                loading.reject(Reject(number, 0, "corrupt_object", None, part.detail, b""))
            elif isinstance(part, LongLine):
                loading.add_long(part, number)
            else:
                loading.add(part if part.source == number else replace(part, source=number))
        loading.flush()
        for number, item in enumerate(self.objects):
            if self._is_corrupt(item) and number not in known:
                digest = hashlib.sha256()
                for block in self.landing.read(item.version):
                    digest.update(block)
                self.hashes[number] = digest.hexdigest()
                detail = self.corrupt[item.source_file]
                loading.reject(Reject(number, 0, "corrupt_object", None, detail, b""))
        if not self.hashes and not known:
            return None
        added = loading.writer.finish()
        replaced = {
            item.source_file: self.before[item.source_file]
            for number, item in enumerate(self.objects)
            if item.replaces and (number in self.hashes or self._replaces_other(known.get(number)))
        }
        rewrite = rewrite_without(self.lake, self.state, replaced, self.load_id)
        self.rewritten = rewrite.added
        loading.note_lines()
        objects = [self._loaded(number) for number in sorted(self.hashes)]
        objects += [replace(version, etag=self.objects[number].version.etag) for number, version in known.items()]
        return Entry(
            self.load_id,
            self.started_at,
            tuple(objects),
            (*added, *rewrite.added),
            tuple(rewrite.removed),
            contract=unrecorded(self.contract, self.state),
            known=self.tombstones.names,
        )

    def discard(self) -> None:
        """Delete the files of a load that will not commit."""
        self.loading.discard()
        self.lake.delete(file.path for file in self.rewritten)

    def _is_corrupt(self, item: Waiting) -> bool:
        return item.source_file in self.corrupt

    def _known_content(self) -> dict[int, LoadedObject]:
        """Objects whose content equals a version loaded or dropped under the same key, with that version."""
        found = {}
        for number, item in enumerate(self.objects):
            versions = [self.before[item.source_file]] if item.replaces else []
            versions += [note.version for note in self.dropped.get(item.source_file, ())]
            if not versions:
                continue
            digest = hashlib.sha256()
            try:
                for block in self.landing.read(item.version):
                    digest.update(block)
            except (ObjectChanged, LakemeshError):
                continue  # raised again when the object is read in full
            content = digest.hexdigest()
            if same := next((version for version in versions if version.content_hash == content), None):
                found[number] = same
        return found

    def _replaces_other(self, version: LoadedObject | None) -> bool:
        """Whether a version that came again replaces a different one."""
        return version is not None and version.content_hash != self.before[version.source_file].content_hash

    def _loaded(self, number: int) -> LoadedObject:
        item = self.objects[number]
        counts = self.loading.counts(number)
        return LoadedObject(
            item.source_file,
            item.version.etag,
            self.hashes[number],
            item.version.size,
            item.version.modified_at,
            sum(counts.values()),
            counts["rows"],
            counts["quarantined"],
            tuple(sorted(self.loading.writer.dates_of(number))),
            self.contract.version,
            self.load_id,
            erased=counts["erased"],
            skipped=counts["skipped"],
        )
