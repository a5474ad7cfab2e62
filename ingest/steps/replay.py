"""Replay: moves rejected records to bronze once the contract or the parser accepts them."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.evolution import check_compatible
from ingest.ledger.files import LakeFile
from ingest.ledger.horizons import read_horizon
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import INCOMPLETE, Selection, remove_records, tables
from ingest.ledger.sources import LoadedObject
from ingest.ledger.tombstones import TombstoneStore
from ingest.records.parsed import LINE, SOURCE, Parsed
from ingest.records.parts import Piece
from ingest.records.waiting import Waiting
from ingest.retry import while_preceded
from ingest.steps.forget import Forgetter
from ingest.steps.matchers import Hashed
from ingest.steps.parse import Parser
from ingest.steps.write import LoadWriter
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store

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
) -> Replay:
    """Judge quarantined records again, and move those that are valid now to bronze, exactly once.

    A record keeps its object, line, etag and modification time, so its place among the versions of a key is unchanged.
    One ledger entry removes it from the quarantine and adds it to bronze.

    Args:
        wanted: which records to try.
        tombstones: of persons whose records are not replayed; by default there may be none.

    Raises:
        ContractRefused: the contract cannot read what was loaded before.
        RetriableError: other writers kept changing the same objects.
    """
    busy = f"{contract.feed}: other writers keep changing the quarantined objects; run it again"
    stones = tombstones or TombstoneStore(lake, "")
    with lake.disk_errors():
        return while_preceded(lambda: _replay(contract, lake, ledger, now, wanted, stones), busy)


def _replay(
    contract: Contract, lake: Store, ledger: Ledger, now: dt.datetime, wanted: Selection, stones: TombstoneStore
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
    names = records.column("_source_file").cast(pa.string())
    objects = _objects(contract, records, names)
    known = state.objects.lookup(item.source_file for item in objects)
    places = pc.index_in(names.combine_chunks(), value_set=pa.array([item.source_file for item in objects])).to_pylist()
    lines, raws = records.column("_source_line").to_pylist(), records.column("raw").to_pylist()
    pieces = [Piece(place, line, raw + b"\n") for place, line, raw in zip(places, lines, raws, strict=True)]
    writer = LoadWriter(lake, contract, objects, load_id, now)
    horizon = read_horizon(lake, contract.feed)
    parser = Parser(contract, [item.version.modified_at for item in objects], forgetter, horizon)
    passed: set[tuple[str, int]] = set()
    rewritten: list[LakeFile] = []
    try:
        for start in range(0, len(pieces), BATCH_RECORDS):
            parsed = parser.parse(pieces[start : start + BATCH_RECORDS])
            rows = parsed.rows
            writer.add(Parsed(rows, [], parsed.skipped, parsed.erased))
            found = zip(rows.column(SOURCE).to_pylist(), rows.column(LINE).to_pylist(), strict=True)
            passed.update((objects[place].source_file, line) for place, line in found)
            passed.update((objects[skip.source].source_file, skip.line) for skip in parsed.skipped)
            passed.update((objects[place].source_file, line) for place, line in parsed.erased)
        if forgetter and forgetter.found:
            stones.extend(forgetter.found, now)
            raise ConflictError(f"{contract.feed}: further identifiers of a person who is forgotten")
        if not passed:
            writer.discard()
            return Replay(len(pieces))
        loads = {item.load_id for item in known.values()}
        added = [replace(file, loads=(*file.loads, *sorted(loads))) for file in writer.finish()]
        removed = []
        for file, _ in chosen:
            left = remove_records(lake, file, partial(_has_passed, passed), load_id)
            if left is not file:
                removed.append(file.path)
                rewritten += [left] if left else []
        moved = [
            _moved(
                known[item.source_file],
                int(writer.rows[place]),
                int(writer.skipped[place]),
                int(writer.erased[place]),
                dict(writer.dates_of(place)),
            )
            for place, item in enumerate(objects)
            if writer.rows[place] or writer.skipped[place] or writer.erased[place]
        ]
        files = (*added, *rewritten)
        entry = Entry(load_id, now, tuple(moved), files, tuple(removed), contract=unrecorded, known=tombstones.names)
    except BaseException:
        _discard(lake, writer, rewritten)
        raise
    try:
        ledger.commit(entry, state.position)
    except ConflictError:  # after any other error the commit may have succeeded, so the files stay
        _discard(lake, writer, rewritten)
        raise
    return Replay(len(pieces), len(passed))


def _discard(lake: Store, writer: LoadWriter, rewritten: list[LakeFile]) -> None:
    writer.discard()
    lake.delete(file.path for file in rewritten)


def _is_stored_in_full(table: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.is_in(table.column("reason"), pa.array(INCOMPLETE)))


def _has_passed(passed: set[tuple[str, int]], table: pa.Table) -> pa.Array:
    names = table.column("_source_file").cast(pa.string()).to_pylist()
    return pa.array([place in passed for place in zip(names, table.column("_source_line").to_pylist(), strict=True)])


def _objects(contract: Contract, records: pa.Table, names: pa.ChunkedArray) -> list[Waiting]:
    """The objects of the records, in the versions that were loaded."""
    found: dict[str, Waiting] = {}
    about = (records.column(name).to_pylist() for name in ("_source_etag", "_source_modified_at"))
    for name, etag, modified_at in zip(names.to_pylist(), *about, strict=True):
        if name not in found:
            key = name.removeprefix(f"{contract.source.bucket}/")
            found[name] = Waiting(name, StoredObject(key, etag, 0, modified_at.replace(tzinfo=dt.UTC)), False)
    return list(found.values())


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
