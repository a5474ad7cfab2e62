"""Discard: gives up rejected records. They leave the open quarantine, but stay stored and counted."""

from __future__ import annotations

import datetime as dt
import uuid

import pyarrow.compute as pc

from ingest.errors import ConflictError
from ingest.ledger.entry import Entry
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN, Selection, remove_records, tables, write
from ingest.retry import while_preceded
from ingest.storage.store import Store


def discard(lake: Store, ledger: Ledger, now: dt.datetime, because: str, wanted: Selection) -> int:
    """Move the wanted records from the open quarantine to the discarded records, in one commit. No row changes.

    A discarded record is never replayed. If its object is overwritten, it is removed with the object's other records.

    Args:
        because: the reason, stored with the records.

    Returns:
        The number of records moved.

    Raises:
        RetriableError: other writers kept changing the same files.
    """
    busy = f"{ledger.feed}: other writers keep changing the quarantine; run it again"
    with lake.disk_errors():
        return while_preceded(lambda: _discard(lake, ledger, now, because, wanted), busy)


def _discard(lake: Store, ledger: Ledger, now: dt.datetime, because: str, wanted: Selection) -> int:
    state = ledger.state()
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    removed: list[str] = []
    added: list[LakeFile] = []
    records = 0
    try:
        for file, table in tables(lake, state):
            mask = wanted.mask(table)
            if not pc.any(mask).as_py():
                continue
            discarded = table.filter(mask)
            folder = file.path.rsplit("/", 1)[0].replace(OPEN, DISCARDED, 1)
            added.append(write(lake, file, folder, discarded, load_id, because))
            left = remove_records(lake, file, wanted.mask, load_id)
            added += [left] if left else []
            removed.append(file.path)
            records += len(discarded)
    except BaseException:
        lake.delete(file.path for file in added)
        raise
    try:
        if records:
            ledger.commit(Entry(load_id, now, (), tuple(added), tuple(removed)), state.position)
    except ConflictError:  # after any other error the commit may have succeeded, so the files stay
        lake.delete(file.path for file in added)
        raise
    return records
