"""Checkpoints of a feed's ledger, as files in `ledger/<feed>/_checkpoints`:

    <N>.<digest>.objects.parquet   a level: source objects of the entries up to N that earlier levels do not have
    <N>.checkpoint.parquet         the rest of the state at N: live files, offsets, contract, names of its levels

N has 20 digits. A checkpoint is valid if all its levels exist; otherwise an earlier one is used, or the log itself.
Older programs wrote `<N>.files.parquet` and `<N>.objects.parquet`, a single level; they take no notice of checkpoints
in levels and read the log instead.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from ingest.errors import ConfigError
from ingest.ledger.files import files_of, files_table
from ingest.ledger.format import (
    CHECKPOINT_REMEDY,
    CONTRACT_KEY,
    ERASURE_FORMAT,
    FORGETS_KEY,
    LEVELS_KEY,
    OFFSETS_KEY,
    RANGES_KEY,
    VERSION_KEY,
    check_format,
    readable,
    stamp,
    stamped,
)
from ingest.ledger.joined import JoinedRanges
from ingest.ledger.levels import Level, level_name
from ingest.ledger.objects import KnownObjects
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

KEPT_CHECKPOINTS = 4
_SUFFIX, _OLDER_SUFFIX, _LEVEL_SUFFIX = ".checkpoint.parquet", ".files.parquet", ".objects.parquet"


class Checkpoints:
    """The checkpoints of one feed, as they were listed when this object was made.

    Args:
        prefix: the folder of the feed's log.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._folder = f"{prefix}/_checkpoints"
        self._names = {_name(item.key) for item in store.list(self._folder)}

    def newest(self, position: int | None = None) -> int:
        """Return the position of the newest checkpoint up to a position, valid or not; 0 when there is none."""
        return max((_number(name) for name in self._until(position)), default=0)

    def state(self, position: int | None, with_objects: bool) -> LedgerState:
        """Return the state at the newest valid checkpoint up to a position; an empty one when there is none.

        Args:
            with_objects: whether its levels have to exist.

        Raises:
            ConfigError: a checkpoint is damaged, or was written by a newer version of Lakemesh.
        """
        for name in self._until(position):
            with suppress(FileNotFoundError):  # it was superseded meanwhile
                state = self._read(name)
                if not with_objects or self._has(state):
                    return state
        return LedgerState()

    def write(self, state: LedgerState) -> bool:
        """Write a checkpoint of a state, and delete what it supersedes.

        Returns:
            False when a level that the state continues from does not exist any more.
        """
        if not self._has(state):
            return False
        try:
            levels, new = state.objects.merged()
            names = [_name(level.key) for level in levels]
            if new.recent_count:
                names.append(self._write_level(state.position, new))
        except FileNotFoundError:
            return False
        metadata = {key: value.encode() for key, value in stamp(state.newest_object_at).items()}
        metadata[LEVELS_KEY] = json.dumps(names).encode()
        if state.contract:
            metadata[CONTRACT_KEY] = state.contract.encode()
        if state.next_offsets:
            offsets = [[*place, n] for place, n in sorted(state.next_offsets.items())]
            metadata[OFFSETS_KEY] = json.dumps(offsets).encode()
        if state.ranges:
            metadata[RANGES_KEY] = state.ranges.text().encode()
        if state.forgets:
            metadata |= {FORGETS_KEY: json.dumps(sorted(state.forgets)).encode(), VERSION_KEY: b"%d" % ERASURE_FORMAT}
        table = files_table(list(state.files.values()))
        table = table.replace_schema_metadata(table.schema.metadata | metadata)
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_statistics=False)
        name = f"{state.position:020d}{_SUFFIX}"
        self._store.put(self._key(name), sink.getvalue())
        self._names |= {name, *names}
        self.prune()
        return True

    def prune(self) -> None:
        """Delete checkpoints older than the newest ones, and levels that only those had.

        A level that ends after the oldest checkpoint that is kept may belong to one that is being written.
        """
        found = self._until(None)
        kept, old = found[:KEPT_CHECKPOINTS], found[KEPT_CHECKPOINTS:]
        if not kept:
            return
        needed: set[str] = set()
        for name in kept:
            try:
                needed.update(self._levels(name))
            except FileNotFoundError:  # another writer deleted it
                continue
            except ConfigError:  # it is damaged: nobody knows what it needs until newer ones have superseded it
                return
        oldest = _number(kept[-1])
        levels = {name for name in self._names if name.endswith(_LEVEL_SUFFIX) and _number(name) < oldest}
        for names in (old, levels - needed):  # levels last: without them a checkpoint is of no use
            self._store.delete([self._key(name) for name in sorted(names)])
            self._names.difference_update(names)

    def _until(self, position: int | None) -> list[str]:
        """Return the names of the checkpoints up to a position, newest first."""
        names = (name for name in self._names if name.endswith((_SUFFIX, _OLDER_SUFFIX)))
        found = [name for name in names if position is None or _number(name) <= position]
        return sorted(found, key=lambda name: (_number(name), name.endswith(_SUFFIX)), reverse=True)

    def _has(self, state: LedgerState) -> bool:
        """Whether all levels of a state exist."""
        return self._names.issuperset(_name(level.key) for level in state.objects.levels)

    def _write_level(self, position: int, objects: KnownObjects) -> str:
        with self._store.disk_errors(), tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
            path = Path(folder) / "objects.parquet"
            objects.write(str(path))
            content = path.read_bytes()
            name = level_name(position, content)
            self._store.put(self._key(name), content)
        return name

    def _read(self, name: str) -> LedgerState:
        """Read the state at a checkpoint, without its levels, with one request."""
        key = self._key(name)
        data = self._store.get(key)
        with readable(f"{self._store.uri}/{key}", CHECKPOINT_REMEDY):
            parquet = pq.ParquetFile(io.BytesIO(data))
            check_format(parquet.schema_arrow, f"{self._store.uri}/{key}")
            metadata = parquet.schema_arrow.metadata
            offsets = json.loads(metadata.get(OFFSETS_KEY, b"[]"))
            return LedgerState(
                _number(name),
                KnownObjects([Level(self._store, self._key(level)) for level in _levels(name, metadata)]),
                {file.path: file for file in files_of(parquet.read())},
                stamped(metadata),
                {(cluster, topic, partition): n for cluster, topic, partition, n in offsets},
                JoinedRanges.parse(metadata[RANGES_KEY].decode()) if RANGES_KEY in metadata else JoinedRanges(),
                metadata.get(CONTRACT_KEY, b"").decode(),
                frozenset(json.loads(metadata.get(FORGETS_KEY, b"[]"))),
            )

    def _levels(self, name: str) -> list[str]:
        """Read the names of a checkpoint's levels."""
        key = self._key(name)
        with self._store.open(key) as source, readable(f"{self._store.uri}/{key}", CHECKPOINT_REMEDY):
            return _levels(name, pq.read_schema(source).metadata)

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}"


def _levels(name: str, metadata: Mapping[bytes, bytes]) -> list[str]:
    """Return the names of a checkpoint's levels, from the metadata of its file."""
    if name.endswith(_OLDER_SUFFIX):
        return [name.removesuffix(_OLDER_SUFFIX) + _LEVEL_SUFFIX]
    return list(json.loads(metadata[LEVELS_KEY]))


def _name(key: str) -> str:
    return key.rsplit("/", 1)[1]


def _number(name: str) -> int:
    """Return the position in the name of a checkpoint or level."""
    return int(name.split(".", 1)[0])
