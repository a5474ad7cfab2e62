"""What a rebuilt ledger keeps of the messages of topics, found in the lake's files: see recover.py."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import duckdb

from ingest.contracts.contract import Contract, Kind
from ingest.ledger.gaps import Fault, Gap
from ingest.ledger.sources import TOPIC_PREFIX, OffsetRange, topic_of


def set_messages_aside(connection: duckdb.DuckDBPyConnection) -> None:
    """Move the messages to keep from table `lines` to `messages`, each as it was written last; delete the others."""
    connection.execute(
        # offsets below the greatest one at which a load began are committed: it began where the one before ended
        "CREATE TEMP TABLE starts AS SELECT name, etag, MAX(first) AS start FROM ("
        f"SELECT name, etag, load, MIN(line) AS first FROM lines WHERE STARTS_WITH(name, '{TOPIC_PREFIX}') "
        "GROUP BY ALL) GROUP BY ALL"
    )
    connection.execute(
        "CREATE TEMP TABLE messages AS SELECT lines.* FROM lines JOIN starts USING (name, etag) WHERE line < start "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY name, etag, line ORDER BY LEFT(writer, 15) DESC, "
        "ARRAY_POSITION(['bronze', 'discarded', 'quarantine'], SPLIT_PART(path, '/', 1)), writer DESC, path) = 1"
    )
    connection.execute(f"DELETE FROM lines WHERE STARTS_WITH(name, '{TOPIC_PREFIX}')")


def kept_messages(
    connection: duckdb.DuckDBPyConnection, contract: Contract, load_id: str
) -> tuple[list[Gap], list[OffsetRange]]:
    """Add the messages to keep to table `kept`, and return what was read of each partition.

    The messages of the last load of a partition are read again: nothing says whether all its files were written. Of
    topics that were replaced the one that was read last continues.
    """
    connection.execute("INSERT INTO kept SELECT * FROM messages")
    rows = connection.execute(
        "SELECT name, etag, MIN(line), MAX(line), COUNT(*), COUNT(day), MAX(modified_at), "
        "LIST({'day': day}) FILTER (WHERE day IS NOT NULL), MAX(load) FROM messages GROUP BY name, etag ORDER BY ALL"
    ).fetchall()
    spans = []
    newest: dict[str, str] = {}
    for name, etag, first, last, records, good, modified_at, days, load in rows:
        cluster_id, topic_id = topic_of(etag)
        topic, _, partition = name.removeprefix(TOPIC_PREFIX).rpartition("/")
        dates: dict[dt.date, int] = defaultdict(int)
        for item in days or () if contract.kind is Kind.EVENT else ():
            dates[item["day"]] += 1
        newest[topic] = max(newest.get(topic, ""), f"{load} {etag}")
        spans.append(
            OffsetRange(
                cluster_id,
                topic_id,
                topic,
                int(partition),
                first,
                last,
                0,
                modified_at.replace(tzinfo=dt.UTC),
                records,
                good,
                records - good,
                0,
                last - first + 1 - records,
                tuple(sorted(dates.items())),
                contract.version,
                load_id,
            )
        )
    current = max(newest.values(), default="").partition(" ")[2]
    gaps = [
        Gap(Fault.REPLACED, *span.place[:2], span.topic, span.partition, span.next_offset, None, current)
        for span in spans
        if span.etag != current
    ]
    return gaps, spans
