"""Requests that DuckDB sends to stores, from its own log of HTTP.

The log is in memory, some 3 KB a request: it is on only while a cycle reads remote files, and emptied when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COUNTS = """
SELECT
  CASE request.type WHEN 'GET' THEN IF(request.url LIKE '%list-type=2%', 'list', 'get') WHEN 'HEAD' THEN 'get'
    WHEN 'DELETE' THEN 'delete' ELSE 'put' END AS operation,
  COUNT(*),
  SUM(CASE WHEN request.type = 'GET' THEN TRY_CAST(response.headers['Content-Length'] AS BIGINT) END)
FROM duckdb_logs_parsed('HTTP') GROUP BY ALL
"""


def note(cursor: Any) -> None:
    """Begin to log the requests of the database of a cursor."""
    cursor.execute("CALL enable_logging('HTTP')")


def noted(cursor: Any) -> Mapping[str, int]:
    """Requests by operation since `note` or the last call, and bytes `read` by them; see ingest/storage/traffic.py."""
    rows = cursor.execute(_COUNTS).fetchall()
    cursor.execute("CALL truncate_duckdb_logs()")
    found = {str(operation): int(count) for operation, count, _ in rows}
    return found | {"read": sum(int(size or 0) for _, _, size in rows)}
