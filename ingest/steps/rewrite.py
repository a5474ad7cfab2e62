"""Copy-on-write: rewrites live files with some rows changed or left out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.ledger.files import LakeFile
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.storage.parquet import parquet_file
from ingest.storage.store import Store


@dataclass(slots=True)
class Rewrite:
    """Files that an entry must add and remove to delete the replaced objects' rows."""

    added: list[LakeFile] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def rewrite_without(lake: Store, state: LedgerState, replaced: Mapping[str, LoadedObject], load_id: str) -> Rewrite:
    """Rewrite, one row group at a time, every live file that may have rows of the replaced objects.

    Args:
        replaced: the versions whose rows are deleted, by source file.
        load_id: the load that replaces them; the new files are named after it.
    """
    result = Rewrite()
    if not replaced:
        return result
    staged: dict[str, Path] = {}
    try:
        _rewrite(lake, state, replaced, load_id, result, staged)
        lake.publish(staged)
    except BaseException:
        lake.discard(staged.values())
        raise
    return result


def _rewrite(
    lake: Store,
    state: LedgerState,
    replaced: Mapping[str, LoadedObject],
    load_id: str,
    result: Rewrite,
    staged: dict[str, Path],
) -> None:
    loads = {item.load_id for item in replaced.values()}
    for file in sorted(state.files.values(), key=lambda file: file.path):
        if loads.isdisjoint(file.loads):
            continue
        wanted = pa.array([name for name, item in replaced.items() if item.load_id in file.loads])
        with lake.open(file.path) as source:
            parquet = pq.ParquetFile(source, memory_map=False)
            if not any(_holds(parquet, group, wanted) for group in range(parquet.num_row_groups)):
                continue

            def kept(table: pa.Table, wanted: pa.Array = wanted) -> pa.Table:
                return table.filter(pc.invert(pc.is_in(table.column("_source_file").cast(pa.string()), wanted)))

            rewrite_file(lake, file, parquet, kept, load_id, result, staged)


def rewrite_file(
    lake: Store,
    file: LakeFile,
    parquet: pq.ParquetFile,
    change: Callable[[pa.Table], pa.Table],
    load_id: str,
    result: Rewrite,
    staged: dict[str, Path],
) -> None:
    """Write what `change` makes of each row group of a live file to a new one, which is staged.

    Args:
        parquet: the file, open.
        result: gets what the entry must add and remove.
        staged: gets the path of the new file by its key.
    """
    folder = file.path.rsplit("/", 1)[0]
    key = f"{folder}/{load_id}-{uuid.uuid4().hex[:8]}.parquet"
    path, rows = lake.stage(key), 0
    staged[key] = path
    with parquet_file(path, parquet.schema_arrow, compression="zstd", compression_level=1) as writer:
        for group in range(parquet.num_row_groups):
            table = change(parquet.read_row_group(group))
            if table.num_rows:
                writer.write_table(table)
                rows += table.num_rows
    result.removed.append(file.path)
    if rows:
        result.added.append(replace(file, path=key, rows=rows, bytes=path.stat().st_size))
    else:
        lake.discard([staged.pop(key)])


def _holds(parquet: pq.ParquetFile, group: int, wanted: pa.Array) -> bool:
    names = parquet.read_row_group(group, columns=["_source_file"]).column(0).cast(pa.string())
    return bool(pc.any(pc.is_in(names, wanted)).as_py())
