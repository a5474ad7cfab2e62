AUDIT (
  name assert_sessions_hold_every_human_click,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'by_date'),
  description 'No rows: from the first session of a visitor on a date on, each click of that date lies in one session of it. A visitor without one has clicked on since before midnight.'
);

WITH visitor_sessions AS (
  SELECT
    sessions.date AS date,
    sessions.visitor_id AS visitor_id,
    MIN(sessions.started_at) AS started_at,
    SUM(sessions.clicks - sessions.next_date_clicks) AS clicks
  FROM silver.sessions AS sessions
  GROUP BY
    sessions.date,
    sessions.visitor_id
), visitor_clicks AS (
  SELECT
    clickstream.event_date AS date,
    clickstream.visitor_id AS visitor_id,
    COUNT(
      CASE
        WHEN visitor_sessions.started_at IS NULL
        OR clickstream.occurred_at >= visitor_sessions.started_at
        THEN clickstream.event_id
      END
    ) AS clicks
  FROM silver.clickstream AS clickstream
  LEFT JOIN visitor_sessions AS visitor_sessions
    ON clickstream.event_date = visitor_sessions.date
    AND clickstream.visitor_id = visitor_sessions.visitor_id
  WHERE
    NOT clickstream.is_bot_agent
  GROUP BY
    clickstream.event_date,
    clickstream.visitor_id
  HAVING
    COUNT(visitor_sessions.started_at) > 0
    OR MIN(clickstream.occurred_at) >= clickstream.event_date::TIMESTAMP + INTERVAL @session_timeout_minutes MINUTE
)
SELECT
  COALESCE(visitor_clicks.date, visitor_sessions.date) AS date,
  COUNT(*) AS visitor_count,
  SUM(visitor_clicks.clicks) AS clicks,
  SUM(visitor_sessions.clicks) AS session_clicks
FROM visitor_clicks AS visitor_clicks
FULL JOIN visitor_sessions AS visitor_sessions
  ON visitor_clicks.date = visitor_sessions.date
  AND visitor_clicks.visitor_id = visitor_sessions.visitor_id
WHERE
  COALESCE(visitor_clicks.clicks, 0) <> COALESCE(visitor_sessions.clicks, 0)
GROUP BY
  COALESCE(visitor_clicks.date, visitor_sessions.date)
