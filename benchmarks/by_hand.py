"""The peer of raw_to_gold: merges all files into one with plain Python, then runs one DuckDB script."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

SCRIPT = """
CREATE OR REPLACE TABLE gold AS
WITH events AS (
  SELECT * FROM READ_JSON('{home}/events.ndjson', format = 'newline_delimited', columns = {{
    event_id: 'VARCHAR', name: 'VARCHAR', occurred_at: 'TIMESTAMP', user_id: 'VARCHAR', child_id: 'VARCHAR',
    data: 'STRUCT(activity_id VARCHAR, source VARCHAR, duration DOUBLE, completed BOOLEAN, collection_id VARCHAR,
      loading_time DOUBLE)',
    context: 'STRUCT(device STRUCT(device_id VARCHAR, brand VARCHAR, model VARCHAR),
      os STRUCT("name" VARCHAR, version VARCHAR), app STRUCT(version VARCHAR, build VARCHAR))', n: 'BIGINT'}})
  WHERE name = 'activity_exit'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id, occurred_at::DATE ORDER BY n DESC) = 1
), users AS (
  SELECT * FROM READ_JSON('{home}/users.ndjson', format = 'newline_delimited', columns = {{
    user_id: 'VARCHAR', country_code: 'VARCHAR', trial_start_at: 'TIMESTAMP', trial_end_at: 'TIMESTAMP',
    subscription_start_at: 'TIMESTAMP', subscription_expire_at: 'TIMESTAMP', n: 'BIGINT'}})
  QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY n DESC) = 1
), activities AS (
  SELECT * FROM READ_JSON('{home}/activities.ndjson', format = 'newline_delimited',
    columns = {{activity_id: 'VARCHAR', type: 'VARCHAR', n: 'BIGINT'}})
  QUALIFY ROW_NUMBER() OVER (PARTITION BY activity_id ORDER BY n DESC) = 1
), enriched AS (
  SELECT events.occurred_at::DATE AS date, users.country_code, events.context.os.name AS os_name,
    events.context.os.version AS os_version, events.context.app.version AS app_version,
    CASE
      WHEN subscription_start_at IS NOT NULL AND occurred_at BETWEEN subscription_start_at AND subscription_expire_at
        THEN 'subscribed'
      WHEN trial_start_at IS NOT NULL AND occurred_at BETWEEN trial_start_at AND trial_end_at THEN 'trial'
      WHEN trial_start_at IS NOT NULL AND occurred_at < trial_start_at THEN 'free'
      WHEN trial_start_at IS NULL THEN 'free'
      ELSE 'lapsed'
    END AS subscription_status,
    activities.type AS activity_type, events.data.collection_id, events.event_id,
    events.data.duration AS duration_seconds, events.data.completed AS completed_flag
  FROM events LEFT JOIN users USING (user_id) LEFT JOIN activities ON activities.activity_id = events.data.activity_id
)
SELECT date, country_code, os_name, os_version, app_version, subscription_status, activity_type, collection_id,
  COUNT(event_id) AS activities_played, SUM(duration_seconds) AS total_time_spent,
  ROUND(AVG(CASE WHEN completed_flag THEN 1 ELSE 0 END), 3) AS completion_rate
FROM enriched GROUP BY ALL
"""


def main() -> None:
    """Merge `<home>/landing` and write `<home>/by_hand.duckdb`."""
    home = Path(sys.argv[1])
    for feed in ("events", "users", "activities"):
        with (home / f"{feed}.ndjson").open("wb") as merged:
            number = 0
            landing = home / "landing" / f"raw-{feed}"
            # the newest version of a duplicate wins: by the file's time, then its name
            for path in sorted(landing.rglob("*.json"), key=lambda path: (path.stat().st_mtime_ns // 1000, str(path))):
                for line in path.read_bytes().split(b"\n"):
                    if line.strip():
                        number += 1
                        merged.write(line[:-1] + b', "n": %d}\n' % number)
    with duckdb.connect(str(home / "by_hand.duckdb")) as connection:
        connection.execute(SCRIPT.format(home=home))


if __name__ == "__main__":
    main()
