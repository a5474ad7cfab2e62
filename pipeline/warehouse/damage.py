"""Damaged lake files: files that the ledger names but that are missing, altered or unreadable."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import DamagedLake, LostLedger
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store


def lake_damage(lake: Store, contracts: Iterable[Contract], dates: Collection[dt.date] = ()) -> DamagedLake | None:
    """The damage to live bronze files, as an error to raise; None if none was found.

    Presence and size of every live file are compared with the ledger. Files are read only if that finds nothing.

    Args:
        dates: event dates whose files are read in full; files of entity feeds are always read.
    """
    live = {}
    for contract in contracts:
        with suppress(LostLedger):  # reported elsewhere, and must not hide damage of other feeds
            live[contract.feed] = Ledger(lake, contract.feed).live().bronze_files()
    for feed, files in live.items():
        if found := list(altered(files, lake.list(f"bronze/{feed}"))):
            return DamagedLake(lake.uri, feed, found)
    for feed, files in live.items():
        read = [file for file in files if file.event_date is None or file.event_date in dates]
        if found := [(file.path, reason) for file in read if (reason := unreadable(lake, file.path, deep=True))]:
            return DamagedLake(lake.uri, feed, found)
    return None


def unreadable(lake: Store, path: str, deep: bool = False) -> str:
    """Why a Parquet file cannot be read; empty if it can.

    Args:
        deep: read the whole file, not only its footer.
    """
    try:
        with lake.open(path) as source, pq.ParquetFile(source) as file:
            for _ in file.iter_batches() if deep else ():
                pass
    except FileNotFoundError:
        return "is missing"
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read: {str(error).splitlines()[0]}"
    return ""


def altered(files: Iterable[LakeFile], found: Iterable[StoredObject]) -> Iterator[tuple[str, str]]:
    """Live bronze files that are missing or have another size than in the ledger: path and reason.

    Args:
        found: the store's listing, taken after the ledger was read.
    """
    sizes = {item.key: item.size for item in found}
    for file in sorted(files, key=lambda file: file.path):
        size = sizes.get(file.path)
        if size is None:
            yield file.path, "is missing"
        elif size != file.bytes:
            yield file.path, f"has {size:,} bytes, the ledger says {file.bytes:,}"
