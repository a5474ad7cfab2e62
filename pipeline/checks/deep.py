"""Row-by-row comparison of bronze with the source objects: `lake verify --deep`."""

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
from ingest.contracts.schema import WARNINGS, extra_columns, row_schema
from ingest.ledger.column_types import file_types
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import SAME
from ingest.ledger.quarantine import DISCARDED, OPEN
from ingest.ledger.sources import OBJECT_SCHEMA
from ingest.ledger.state import LedgerState
from ingest.ledger.tombstones import TombstoneStore
from ingest.records.listed import Listed
from ingest.sql import identifier
from ingest.steps.discover import compare
from ingest.steps.load import ingest_feed
from ingest.steps.sweep import Scope
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import parquet

_INDEX = re.compile(r"\[\d+\]")
SHOWN = 20
"""Maximum number of differences of a kind that are listed; the rest is counted."""


@dataclass(slots=True)
class Content:
    """Result of the row comparison.

    Attributes:
        differences: kind, the first items, and the total count.
        listed: the landing listed again after the comparison; None if no object changed during it.
        unread: objects that were not read because they changed during the comparison and changed back.
        rejudged: records loaded under an older contract that the current one accepts, rejects or warns of differently.
    """

    differences: list[tuple[str, list[str], int]] = field(default_factory=list)
    listed: Listed | None = None
    unread: int = 0
    rejudged: int = 0


def compare_content(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    landing: Landing,
    lake: Store,
    start: dt.date,
    state: LedgerState,
    listed: Listed,
    tombstones: TombstoneStore | None = None,
) -> Content:
    """Reload the versions recorded in the ledger into a scratch lake and compare row by row.

    Objects overwritten or deleted during the comparison are skipped, and so are dropped objects.

    Args:
        start: first day of the history that the models cover.
        listed: the landing, compared with `state`.
        tombstones: of persons who are forgotten, and whom the lake therefore lacks.
    """
    content = Content()
    known = objects(state, "source_file", "dropped")
    dropped = known.filter(pc.greater(known.column("dropped"), 0)).column("source_file")
    wanted = pc.and_(pa.array(listed.status == SAME), pc.invert(pc.is_in(listed.names, value_set=dropped)))
    with tempfile.TemporaryDirectory(prefix="lakemesh-verify-") as folder:
        scratch = Store(folder)
        scope = Scope(dt.datetime.now(dt.UTC), listed=listed.table.filter(wanted))
        report = ingest_feed(contract, landing, scratch, start, scope=scope, tombstones=tombstones)
        again = Ledger(scratch, contract.feed).state()
        _select_objects(connection, listed.names.filter(wanted), state, again)
        if connection.execute("SELECT 1 FROM chosen WHERE NOT is_same LIMIT 1").fetchone():
            content.listed = compare(contract, landing, state)
            unread, stuck = _keep_unchanged(connection, content.listed), dict(report.stuck)
            failed = [f"{name}: {stuck[name]}" for name in unread if name in stuck]
            content.differences.append(("object cannot be read", failed, len(failed)))
            content.unread = len(unread) - len(failed)
        promoted = {path for path, _ in contract.walk()}
        promoted.update(path for file in state.bronze_files() for path in file_types(file.columns))
        connection.create_function("still_unknown", partial(_still_unknown, promoted), ["VARCHAR"], "VARCHAR")
        declared = [identifier(name) for name in row_schema(contract).names if name != WARNINGS]
        columns = ", ".join([*declared, "_source_file", "_source_line", "NULLIF(still_unknown(_rescued_data), '')"])
        lakes = ((lake.uri, state), (folder, again))
        rows = [f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())})" for uri, one in lakes]
        bad = [f"SELECT _source_file, _source_line, reason FROM {quarantine_query(uri, one)}" for uri, one in lakes]
        kinds = {"row": rows, "bad": bad}
        if WARNINGS in extra_columns(contract):
            columns = f"_source_file, _source_line, {WARNINGS}"
            kinds["warning"] = [
                f"SELECT {columns} FROM ({bronze_query(contract, uri, one.bronze_files())}) "
                f"WHERE NOT {WARNINGS} IS NULL"
                for uri, one in lakes
            ]
        for kind, (kept, loaded) in kinds.items():
            for place, first, second in (("lake", kept, loaded), ("source", loaded, kept)):
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE {kind}_in_{place} AS SELECT _source_file, _source_line FROM ("
                    f"FROM ({first}) SEMI JOIN chosen USING (_source_file) EXCEPT ALL "
                    f"FROM ({second}) SEMI JOIN chosen USING (_source_file))"
                )
        content.differences.append(_skips(connection))
        content.rejudged = _exclude_rejudged(connection, contract, state, "warning" in kinds)
        for name in kinds:
            kind = "bad record" if name == "bad" else name
            for place in ("lake", "source"):
                table = f"{name}_in_{place} ANTI JOIN rejudged USING (_source_file, _source_line)"
                (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() or (0,)
                lines = connection.execute(f"FROM {table} ORDER BY ALL LIMIT {SHOWN}").fetchall()
                shown = [f"{source} line {line}" for source, line in lines]
                content.differences.append((f"{kind} only in the {place}", shown, count))
    return content


def _skips(connection: duckdb.DuckDBPyConnection) -> tuple[str, list[str], int]:
    """Objects of which the ledger counts another number of skipped records than their content has."""
    names = [name for (name,) in connection.execute("SELECT _source_file FROM chosen WHERE skips_differ").fetchall()]
    return "number of skipped records", sorted(names)[:SHOWN], len(names)


def _exclude_rejudged(
    connection: duckdb.DuckDBPyConnection, contract: Contract, state: LedgerState, warns: bool
) -> int:
    """Collect in table `rejudged` the lines loaded under an older contract that the current one judges differently.

    Such a line is a row on one side and rejected on the other, or rejected for different reasons. A row with different
    warnings on both sides is counted too, and leaves the tables of warnings only: its values are still compared.

    Args:
        warns: whether the contract has constraints that warn.

    Returns:
        The number of such lines.
    """
    known = objects(state, "source_file", "contract_version")
    older = known.filter(pc.less(known.column("contract_version"), contract.version))
    connection.register("older", older.select(["source_file"]).rename_columns(["_source_file"]))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE rejudged AS SELECT DISTINCT * FROM ("
        "(FROM row_in_source INTERSECT FROM bad_in_lake) UNION ALL (FROM row_in_lake INTERSECT FROM bad_in_source) "
        "UNION ALL (FROM bad_in_lake INTERSECT FROM bad_in_source)) SEMI JOIN older USING (_source_file)"
    )
    counted = "FROM rejudged"
    if warns:
        for place in ("lake", "source"):
            counted += f" UNION (FROM warning_in_{place} SEMI JOIN older USING (_source_file))"
    (count,) = connection.execute(f"SELECT COUNT(*) FROM ({counted})").fetchone() or (0,)
    for place in ("lake", "source") if warns else ():
        connection.execute(f"DELETE FROM warning_in_{place} WHERE _source_file IN (SELECT _source_file FROM older)")
    connection.unregister("older")
    return int(count)


def _still_unknown(known: Collection[str], rescued: str) -> str:
    """Remove from `_rescued_data` the fields that are columns now, since older rows keep them in both places.

    Returns:
        The rest as JSON; empty if nothing is left.
    """
    fields = msgspec.json.decode(rescued, type=dict[str, msgspec.Raw])
    left = {path: value for path, value in fields.items() if _INDEX.sub("", path) not in known}
    if len(left) == len(fields):
        return rescued
    return msgspec.json.encode(left).decode() if left else ""


def objects(state: LedgerState, *columns: str) -> pa.Table:
    """Return the given columns of all objects in the ledger."""
    return pa.concat_tables([OBJECT_SCHEMA.empty_table().select(columns), *state.objects.tables(columns)])


def _select_objects(
    connection: duckdb.DuckDBPyConnection, names: pa.Array, state: LedgerState, again: LedgerState
) -> None:
    """Fill table `chosen` with the objects to compare: `is_read`, `is_same` for equal content, `skips_differ`.

    An equal etag is not enough: an object overwritten in place during the read yields a mix of both contents.
    """
    connection.register("wanted", pa.table({"source_file": names}))
    for name, one in (("kept", state), ("again", again)):
        connection.register(name, objects(one, "source_file", "content_hash", "skipped"))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT wanted.source_file AS _source_file, "
        "again.content_hash IS NOT NULL AS is_read, "
        "COALESCE(again.content_hash = kept.content_hash, FALSE) AS is_same, "
        "is_same AND again.skipped <> kept.skipped AS skips_differ "
        "FROM wanted JOIN kept USING (source_file) LEFT JOIN again USING (source_file)"
    )
    for name in ("wanted", "kept", "again"):
        connection.unregister(name)


def _keep_unchanged(connection: duckdb.DuckDBPyConnection, listed: Listed) -> list[str]:
    """Remove from `chosen` objects not read with the same content, unless the landing still has that version.

    Returns:
        Objects that were not read although the landing still has that version.
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
    """Return a SQL relation of the live quarantined records, discarded ones included."""
    paths = sorted(path for path in state.files if path.startswith((OPEN, DISCARDED)))
    if not paths:
        return "(SELECT '' AS _source_file, '' AS _source_etag, 0 AS _source_line, '' AS reason LIMIT 0)"
    return parquet(uri, paths)
