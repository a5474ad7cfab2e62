"""Whether bronze says what the source objects say, row by row: the deep part of `lake verify`."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.contract import Contract
from ingest.ledger.entry import OBJECT_SCHEMA
from ingest.ledger.evolution import file_types
from ingest.ledger.ledger import Ledger, LedgerState
from ingest.ledger.objects import SAME
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.settings import Settings
from ingest.steps.discover import Listed, compare
from ingest.steps.load import ingest_feed
from ingest.steps.sweep import Scope
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import parquet

_INDEX = re.compile(r"\[\d+\]")
SHOWN = 20
"""At most so many differences of a kind are named, the rest is counted."""


@dataclass(slots=True)
class Content:
    """What the comparison of rows found.

    Attributes:
        differences: kind, the first items, and how many there are.
        listed: the landing as it was afterwards; None when no object changed meanwhile.
        unread: objects that changed and came back as they were, so that they were not read.
        rejudged: records that an older contract loaded and the current one judges otherwise.
    """

    differences: list[tuple[str, list[str], int]] = field(default_factory=list)
    listed: Listed | None = None
    unread: int = 0
    rejudged: int = 0


def compare_content(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    options: Settings,
    landing: Landing,
    state: LedgerState,
    listed: Listed,
) -> Content:
    """Loads the versions that the ledger holds once more, into a scratch lake, and compares row by row.

    Objects that are overwritten or deleted meanwhile are left out, and so are those that were dropped.

    Args:
        listed: the landing, compared with `state`.
    """
    content = Content()
    known = objects(state, "source_file", "dropped")
    dropped = known.filter(pc.greater(known.column("dropped"), 0)).column("source_file")
    wanted = pc.and_(pa.array(listed.status == SAME), pc.invert(pc.is_in(listed.names, value_set=dropped)))
    with tempfile.TemporaryDirectory(prefix="lakemesh-verify-") as folder:
        scratch = Store(folder)
        scope = Scope(dt.datetime.now(dt.UTC), listed=listed.table.filter(wanted))
        report = ingest_feed(contract, landing, scratch, options.lake_start, scope=scope)
        again = Ledger(scratch, contract.feed).state()
        _choose(connection, listed.names.filter(wanted), state, again)
        if connection.execute("SELECT 1 FROM chosen WHERE NOT is_same LIMIT 1").fetchone():
            content.listed = compare(contract, landing, state)
            unread, stuck = _keep_unchanged(connection, content.listed), dict(report.stuck)
            failed = [f"{name}: {stuck[name]}" for name in unread if name in stuck]
            content.differences.append(("object cannot be read", failed, len(failed)))
            content.unread = len(unread) - len(failed)
        promoted = {path for path, _ in contract.walk()}
        promoted.update(path for file in state.bronze_files() for path in file_types(file.columns))
        connection.create_function("still_unknown", partial(_still_unknown, promoted), ["VARCHAR"], "VARCHAR")
        declared = [f'"{column.name}"' for column in contract.columns]
        columns = ", ".join([*declared, "_source_file", "_source_line", "NULLIF(still_unknown(_rescued_data), '')"])
        lakes = ((options.lake_uri, state), (folder, again))
        rows = [f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())})" for uri, one in lakes]
        bad = [f"SELECT _source_file, _source_line, reason FROM {quarantine_query(uri, one)}" for uri, one in lakes]
        for kind, (kept, loaded) in (("row", rows), ("bad", bad)):
            for place, first, second in (("lake", kept, loaded), ("source", loaded, kept)):
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE {kind}_in_{place} AS SELECT _source_file, _source_line FROM ("
                    f"FROM ({first}) SEMI JOIN chosen USING (_source_file) EXCEPT ALL "
                    f"FROM ({second}) SEMI JOIN chosen USING (_source_file))"
                )
        content.rejudged = _set_rejudged_aside(connection, contract, state)
        for kind, name in (("row", "row"), ("bad record", "bad")):
            for place in ("lake", "source"):
                table = f"{name}_in_{place} ANTI JOIN rejudged USING (_source_file, _source_line)"
                (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() or (0,)
                lines = connection.execute(f"FROM {table} ORDER BY ALL LIMIT {SHOWN}").fetchall()
                shown = [f"{source} line {line}" for source, line in lines]
                content.differences.append((f"{kind} only in the {place}", shown, count))
    return content


def _set_rejudged_aside(connection: duckdb.DuckDBPyConnection, contract: Contract, state: LedgerState) -> int:
    """Puts into the table `rejudged` the lines that an older contract loaded and the current one judges otherwise.

    Such a line is a row in one place and rejected in the other, or rejected for two reasons.

    Returns:
        How many there are.
    """
    known = objects(state, "source_file", "contract_version")
    older = known.filter(pc.less(known.column("contract_version"), contract.version))
    connection.register("older", older.select(["source_file"]).rename_columns(["_source_file"]))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE rejudged AS SELECT DISTINCT * FROM ("
        "(FROM row_in_source INTERSECT FROM bad_in_lake) UNION ALL (FROM row_in_lake INTERSECT FROM bad_in_source) "
        "UNION ALL (FROM bad_in_lake INTERSECT FROM bad_in_source)) SEMI JOIN older USING (_source_file)"
    )
    connection.unregister("older")
    (count,) = connection.execute("SELECT COUNT(*) FROM rejudged").fetchone() or (0,)
    return int(count)


def _still_unknown(known: Collection[str], rescued: str) -> str:
    """`_rescued_data` without what is a column now: older rows keep it there too. Empty when nothing is left."""
    fields = msgspec.json.decode(rescued, type=dict[str, msgspec.Raw])
    left = {path: value for path, value in fields.items() if _INDEX.sub("", path) not in known}
    if len(left) == len(fields):
        return rescued
    return msgspec.json.encode(left).decode() if left else ""


def objects(state: LedgerState, *columns: str) -> pa.Table:
    """The given columns of all objects that the ledger knows."""
    return pa.concat_tables([OBJECT_SCHEMA.empty_table().select(columns), *state.objects.tables(columns)])


def _choose(connection: duckdb.DuckDBPyConnection, names: pa.Array, state: LedgerState, again: LedgerState) -> None:
    """Puts the objects to compare into the table `chosen`: whether they were read (`is_read`), with the same content.

    The same etag is not enough: an object that is overwritten in place while it is read gives some of both contents.
    """
    connection.register("wanted", pa.table({"source_file": names}))
    for name, one in (("kept", state), ("again", again)):
        connection.register(name, objects(one, "source_file", "content_hash"))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT wanted.source_file AS _source_file, "
        "again.content_hash IS NOT NULL AS is_read, "
        "COALESCE(again.content_hash = kept.content_hash, FALSE) AS is_same "
        "FROM wanted JOIN kept USING (source_file) LEFT JOIN again USING (source_file)"
    )
    for name in ("wanted", "kept", "again"):
        connection.unregister(name)


def _keep_unchanged(connection: duckdb.DuckDBPyConnection, listed: Listed) -> list[str]:
    """Takes out of `chosen` what was not read with the same content, unless the landing still has that version.

    Returns:
        Those that the landing still has and that were not read.
    """
    connection.register("unchanged", pa.table({"_source_file": listed.names.filter(pa.array(listed.status == SAME))}))
    unread = connection.execute(
        "SELECT _source_file FROM chosen SEMI JOIN unchanged USING (_source_file) WHERE NOT is_read ORDER BY ALL"
    ).fetchall()
    connection.execute(
        "DELETE FROM chosen WHERE NOT is_same "
        "AND NOT (is_read AND _source_file IN (SELECT _source_file FROM unchanged))"
    )
    connection.unregister("unchanged")
    return [name for (name,) in unread]


def quarantine_query(uri: str, state: LedgerState) -> str:
    """A relation of the live quarantined records, discarded ones included."""
    paths = sorted(path for path in state.files if path.startswith((OPEN, DISCARDED)))
    if not paths:
        return "(SELECT '' AS _source_file, 0 AS _source_line, '' AS reason LIMIT 0)"
    return parquet(uri, paths)
