"""Checks whether the rows of a file that no ledger entry names are stored anywhere else.

A killed load leaves files of objects that still wait in the landing, and compaction leaves files of objects that are in
the ledger: both can be deleted. A file with rows of an object that is in neither is the only copy of these rows, for
example after entries of the ledger were lost. Messages of a topic are in the ledger, or wait in the topic: a log that
lost what it had of them is known by the record of its topic, see `record_topic`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.ledger.sources import TOPIC_PREFIX
from ingest.ledger.state import LedgerState
from ingest.steps.discover import compare
from ingest.storage.landing import Landing
from ingest.storage.store import Store

Landed = Callable[[], pa.Array]
"""Returns bucket/key of every object in the landing."""
_MAGIC = b"PAR1"
SHOWN = 3
THREADS = 4
"""Number of files read in parallel; each is in memory as a whole if it is smaller than 32 MB."""


def landed_objects(contract: Contract, landing: Landing) -> pa.Array:
    """bucket/key of every object of the feed in the landing, which an ingest without a ledger would load.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    return compare(contract, landing, LedgerState()).names


def sole_copies(lake: Store, paths: Iterable[str], state: LedgerState, landed: Landed) -> Iterator[tuple[str, str]]:
    """Yield the files that may hold the only copy of a row, each with the reason.

    A file that ends before its footer, as a killed writer leaves it, has no readable rows and is not included. A file
    with a footer whose rows cannot be read is included, because its content is unknown.

    Args:
        state: the newest state of the ledger.
        landed: called at most once, and only if an object is not in the ledger.

    Raises:
        RetriableError: a store cannot be reached.
    """
    in_landing: pa.Array | None = None
    with ThreadPoolExecutor(THREADS) as pool:
        for path, names in pool.map(lambda path: (path, _objects_in(lake, path)), paths):
            if isinstance(names, str):
                yield path, f"cannot be read, so its rows are unknown: {names}"
            elif len(unknown := state.objects.unknown(names)):
                if in_landing is None:
                    in_landing = landed()
                sole = unknown.filter(pc.invert(pc.is_in(unknown, value_set=in_landing))).sort()
                if len(sole):
                    shown = ", ".join(sole.slice(0, SHOWN).to_pylist()) + (", …" if len(sole) > SHOWN else "")
                    yield path, f"has rows of {len(sole):,} objects that are in neither ledger nor landing: {shown}"


def _objects_in(lake: Store, path: str) -> pa.Array | str:
    """The objects whose records a file holds, or the error if unreadable; empty if it ends before its footer."""
    try:
        names = _read(lake, path)
    except FileNotFoundError:  # another process deleted it
        names = None
    except (pa.ArrowException, KeyError) as error:
        return str(error).splitlines()[0]
    return pa.array([], pa.string()) if names is None else names


def _read(lake: Store, path: str) -> pa.Array | None:
    with lake.disk_errors(), lake.open(path) as source:
        size = source.seek(0, 2)
        if size < 3 * len(_MAGIC):
            return None
        source.seek(size - len(_MAGIC))
        if source.read(len(_MAGIC)) != _MAGIC:
            return None
        source.seek(0)
        try:
            table = pq.ParquetFile(source).read(columns=["_source_file"])
        except OSError as error:
            if error.errno is not None:
                raise
            raise pa.ArrowInvalid(str(error)) from error  # raised by pyarrow about the content
    names = table.column("_source_file").cast(pa.string()).combine_chunks().unique()
    return names.filter(pc.invert(pc.starts_with(names, TOPIC_PREFIX)))
