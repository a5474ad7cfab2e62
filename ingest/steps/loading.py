"""What a load makes of records as they are read: it parses them in chunks, writes rows and rejects, and counts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Sequence

import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.contracts.schema import WARNINGS
from ingest.ledger.landed import LandedLines, record_landed
from ingest.ledger.tombstones import Tombstones
from ingest.records.parsed import RESCUED, Parsed, Reject
from ingest.records.parts import LongLine, Piece
from ingest.records.times import Times, times_of
from ingest.records.waiting import Waiting
from ingest.steps.forget import Forgetter
from ingest.steps.matchers import Hashed
from ingest.steps.parse import Parser
from ingest.steps.write import LoadWriter
from ingest.storage.store import Store

CHUNK_BYTES, CHUNK_LINES = 4 << 20, 50_000
"""Lines are parsed together once they reach this many bytes or lines."""


def new_load_id(now: dt.datetime) -> str:
    """Return the id of a load that starts now."""
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"


class Loading:
    """The records of one load, on their way to bronze.

    Args:
        sources: what the records are of: objects, or partitions of a topic.
        times: of the records; by default those of their objects.

    Attributes:
        writer: with the counts by source.
        forgetter: forgets persons; None if nobody is forgotten.
        reasons, skipped, warnings, rescued: as in FeedReport.
    """

    def __init__(
        self,
        contract: Contract,
        lake: Store,
        sources: Sequence[Waiting],
        load_id: str,
        started_at: dt.datetime,
        tombstones: Tombstones,
        times: Times | None = None,
    ) -> None:
        times = times or times_of([item.version.modified_at for item in sources])
        self._contract, self._lake, self._load_id = contract, lake, load_id
        self._names = [item.source_file for item in sources]
        self.forgetter = Forgetter(contract, Hashed(tombstones), tombstones.key) if tombstones else None
        self._parser = Parser(contract, times, self.forgetter)
        self.writer = LoadWriter(lake, contract, sources, load_id, started_at, times)
        self.reasons: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.rescued = 0
        self._chunk: list[Piece] = []
        self._size = self._lines = 0
        self._notes: list[str] = []

    def add(self, piece: Piece) -> None:
        """Parse and write lines, once there are enough."""
        self._chunk.append(piece)
        self._size += len(piece.data)
        self._lines += piece.data.count(b"\n")
        if self._size >= CHUNK_BYTES or self._lines >= CHUNK_LINES:
            self.flush()

    def flush(self) -> None:
        """Parse and write what was added."""
        if self._chunk:
            self._write(self._parser.parse(self._chunk))
        self._chunk, self._size, self._lines = [], 0, 0

    def add_long(self, line: LongLine, source: int) -> None:
        """Reject a line that is too long."""
        detail = f"{line.size} bytes, expected at most {self._contract.max_line_bytes}; only its beginning is kept"
        self.reject(Reject(source, line.line, "line_too_long", None, detail, line.head))

    def reject(self, reject: Reject) -> None:
        """Reject a record that is not parsed; one of a person who is forgotten is erased instead."""
        parsed = Parsed(self._parser.empty(), [reject])
        self._write(self.forgetter.parsed(parsed) if self.forgetter and reject.raw else parsed)

    def counts(self, source: int) -> dict[str, int]:
        """The records of one source by what became of them: rows, quarantined, erased and skipped."""
        names = ("rows", "quarantined", "erased", "skipped")
        return {name: int(getattr(self.writer, name)[source]) for name in names}

    def note_lines(self) -> None:
        """Record which lines of the sources have persons who are forgotten: the lake is about not to have them."""
        lines: dict[str, set[int]] = {}
        for number, line in self.forgetter.lines if self.forgetter else ():
            lines.setdefault(self._names[number], set()).add(line)
        if lines:
            found = [LandedLines(name, self._load_id, tuple(sorted(own))) for name, own in sorted(lines.items())]
            self._notes.append(record_landed(self._lake, self._contract.feed, self._load_id, found))

    def discard(self) -> None:
        """Delete what was written."""
        self.writer.discard()
        self._lake.delete(self._notes)

    def _write(self, parsed: Parsed) -> None:
        self.reasons.update(reject.reason for reject in parsed.rejects)
        self.skipped.update(skip.kind for skip in parsed.skipped)
        if WARNINGS in parsed.rows.column_names:
            self.warnings.update(pc.list_flatten(parsed.rows.column(WARNINGS)).to_pylist())
        self.rescued += len(parsed.rows) - parsed.rows.column(RESCUED).null_count
        self.writer.add(parsed)
