"""Replay: moves rejected records to bronze once the contract or the parser accepts them."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import check_compatible
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import INCOMPLETE, Selection, remove_records, tables
from ingest.ledger.sources import LoadedObject, is_message
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import TombstoneStore
from ingest.records.parsed import LINE, SOURCE, Parsed
from ingest.records.parts import Piece
from ingest.records.times import MessageTimes
from ingest.records.waiting import Waiting
from ingest.retry import while_preceded
from ingest.steps.forget import Forgetter
from ingest.steps.matchers import Hashed
from ingest.steps.parse import Parser
from ingest.steps.write import LoadWriter
from ingest.storage.arrays import Indices, as_numpy
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from ingest.topics.values import Decoder, Undecodable

BATCH_RECORDS = 50_000
ALL = Selection()


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay: records tried, and records that left the quarantine, as rows of bronze or skipped."""

    tried: int = 0
    replayed: int = 0


def replay(
    contract: Contract,
    lake: Store,
    ledger: Ledger,
    now: dt.datetime,
    wanted: Selection = ALL,
    tombstones: TombstoneStore | None = None,
    connection: Connection | None = None,
) -> Replay:
    """Judge quarantined records again, and move those that are valid now to bronze, exactly once.

    A record keeps its object, line, etag and modification time, so its place among the versions of a key is unchanged.
    One ledger entry removes it from the quarantine and adds it to bronze.

    Args:
        wanted: which records to try.
        tombstones: of persons whose records are not replayed; by default there may be none.
        connection: to the registry of schemas, for messages that could not be decoded.

    Raises:
        ContractRefused: the contract cannot read what was loaded before.
        RetriableError: other writers kept changing the same objects.
    """
    busy = f"{contract.feed}: other writers keep changing the quarantined objects; run it again"
    stones = tombstones or TombstoneStore(lake, "")
    with lake.disk_errors():
        decoder = Decoder(contract, connection) if connection is not None and contract.source.kafka else None
        return while_preceded(lambda: _replay(contract, lake, ledger, now, wanted, stones, decoder), busy)


def _replay(
    contract: Contract,
    lake: Store,
    ledger: Ledger,
    now: dt.datetime,
    wanted: Selection,
    stones: TombstoneStore,
    decoder: Decoder | None,
) -> Replay:
    state = ledger.state()
    tombstones = stones.knowing(state.forgets, again=True)
    forgetter = Forgetter(contract, Hashed(tombstones), tombstones.key) if tombstones else None
    unrecorded = check_compatible(contract, lake, state)
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    chosen = [
        (file, table.filter(mask))
        for file, table in tables(lake, state)
        if pc.any(mask := pc.and_(_is_stored_in_full(table), wanted.mask(table))).as_py()
    ]
    if not chosen:
        return Replay()
    records = pa.concat_tables([table for _, table in chosen]).sort_by(
        [("_source_file", "ascending"), ("_source_line", "ascending")]
    )
    sources, places = _sources(contract, state, records)
    objects = [item.waiting for item in sources]
    known = state.objects.lookup(item.waiting.source_file for item in sources if item.day is None)
    lines, raws = records.column("_source_line").to_pylist(), records.column("raw").to_pylist()
    times = MessageTimes()
    for place in range(len(sources)):
        own = records.filter(pa.array(places == place))
        micros = as_numpy(own.column("_source_modified_at").cast(pa.int64()))
        times.add(place, as_numpy(own.column("_source_line")), micros)
    pieces = []
    for place, line, raw in zip(places.tolist(), lines, raws, strict=True):
        text = raw if sources[place].day is None else _line(decoder, raw)
        if text is not None:
            pieces.append(Piece(place, line, text + b"\n"))
    writer = LoadWriter(lake, contract, objects, load_id, now, times)
    parser = Parser(contract, times, forgetter)
    passed: set[_Place] = set()
    rewritten: list[LakeFile] = []
    try:
        for start in range(0, len(pieces), BATCH_RECORDS):
            parsed = parser.parse(pieces[start : start + BATCH_RECORDS])
            rows = parsed.rows
            writer.add(Parsed(rows, [], parsed.skipped, parsed.erased))
            found = [*zip(rows.column(SOURCE).to_pylist(), rows.column(LINE).to_pylist(), strict=True)]
            found += [(skip.source, skip.line) for skip in parsed.skipped] + parsed.erased
            passed.update((objects[place].source_file, objects[place].version.etag, line) for place, line in found)
        if forgetter and forgetter.found:
            stones.extend(forgetter.found, now)
            raise ConflictError(f"{contract.feed}: further identifiers of a person who is forgotten")
        if not passed:
            writer.discard()
            return Replay(len(lines))
        loads = {item.load_id for item in known.values()}
        added = [replace(file, loads=(*file.loads, *sorted(loads))) for file in writer.finish()]
        removed = []
        for file, _ in chosen:
            left = remove_records(lake, file, partial(_has_passed, passed), load_id)
            if left is not file:
                removed.append(file.path)
                rewritten += [left] if left else []
        moved, corrections = [], []
        for place, item in enumerate(sources):
            counts = {name: int(getattr(writer, name)[place]) for name in ("rows", "skipped", "erased")}
            if not any(counts.values()):
                continue
            name, dates = item.waiting.source_file, dict(writer.dates_of(place))
            if item.day is None:
                moved.append(_moved(known[name], counts["rows"], counts["skipped"], counts["erased"], dates))
            else:
                gone, etag = -sum(counts.values()), item.waiting.version.etag
                corrections.append(
                    state.ranges.correction(
                        name, etag, item.first, load_id, quarantined=gone, event_dates=dates, **counts
                    )
                )
        files = (*added, *rewritten)
        entry = Entry(
            load_id,
            now,
            tuple(moved),
            files,
            tuple(removed),
            ranges=tuple(corrections),
            contract=unrecorded,
            known=tombstones.names,
        )
    except BaseException:
        _discard(lake, writer, rewritten)
        raise
    try:
        ledger.commit(entry, state.position)
    except ConflictError:  # after any other error the commit may have succeeded, so the files stay
        _discard(lake, writer, rewritten)
        raise
    return Replay(len(lines), len(passed))


def _discard(lake: Store, writer: LoadWriter, rewritten: list[LakeFile]) -> None:
    writer.discard()
    lake.delete(file.path for file in rewritten)


def _is_stored_in_full(table: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.is_in(table.column("reason"), pa.array(INCOMPLETE)))


def _has_passed(passed: set[_Place], table: pa.Table) -> pa.Array:
    columns = (table.column(name).cast(pa.string()).to_pylist() for name in ("_source_file", "_source_etag"))
    places = zip(*columns, table.column("_source_line").to_pylist(), strict=True)
    return pa.array([place in passed for place in places])


_Place = tuple[str, str, int]
"""`_source_file`, `_source_etag` and `_source_line` of a record."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What some records are of: an object, or what was committed of a partition on one date.

    Attributes:
        day: that date; None for an object.
        first: the line of the first record.
    """

    waiting: Waiting
    day: dt.date | None
    first: int


def _sources(contract: Contract, state: LedgerState, records: pa.Table) -> tuple[list[_Source], Indices]:
    """Return the sources of the records, in the versions that were loaded, and the source of each record."""
    found: dict[tuple[str, str, dt.date | None], int] = {}
    sources: list[_Source] = []
    places = np.zeros(len(records), dtype=np.int64)
    texts = [records.column(name).cast(pa.string()).to_pylist() for name in ("_source_file", "_source_etag")]
    about = (records.column(name).to_pylist() for name in ("_source_modified_at", "_source_line"))
    for number, (name, etag, modified_at, line) in enumerate(zip(*texts, *about, strict=True)):
        span = state.ranges.named(name, etag) if is_message(name) else None
        day = state.ranges.day_of(span.place, line) if span else None
        key = (name, etag, day)
        if key not in found:
            found[key] = len(sources)
            version = StoredObject(
                name.removeprefix(f"{contract.source.bucket}/"), etag, 0, modified_at.replace(tzinfo=dt.UTC)
            )
            sources.append(_Source(Waiting(name, version, False), day, line))
        places[number] = found[key]
    return sources, places


def _line(decoder: Decoder | None, raw: bytes) -> bytes | None:
    """The line of a message; None if it still has none."""
    try:
        return decoder.line(None, raw) if decoder else raw
    except Undecodable:
        return None


def _moved(item: LoadedObject, rows: int, skipped: int, erased: int, dates: dict[dt.date, int]) -> LoadedObject:
    for day, count in item.event_dates:
        dates[day] = dates.get(day, 0) + count
    return replace(
        item,
        rows=item.rows + rows,
        quarantined=item.quarantined - rows - skipped - erased,
        erased=item.erased + erased,
        skipped=item.skipped + skipped,
        event_dates=tuple(sorted(dates.items())),
    )
