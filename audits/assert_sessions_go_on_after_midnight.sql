AUDIT (
  name assert_sessions_go_on_after_midnight,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'everything'),
  description 'No rows: the clicks of a visitor with a session lie in it until the next date has a session of its own.'
);

WITH visitor_sessions AS (
  SELECT
    sessions.date AS date,
    (
      sessions.date + INTERVAL '1' DAY
    )::DATE AS next_date,
    sessions.visitor_id AS visitor_id,
    MIN(sessions.started_at) AS started_at,
    SUM(sessions.next_date_clicks) AS next_date_clicks
  FROM silver.sessions AS sessions
  GROUP BY
    sessions.date,
    sessions.visitor_id
), computed_dates AS (
  /* A date is computed once it is over and complete, maybe after later ones; sessions go on with its clicks before */
  SELECT DISTINCT
    clickstream.event_date AS date
  FROM silver.clickstream AS clickstream
), visitor_clicks AS (
  SELECT
    visitor_sessions.date AS date,
    visitor_sessions.next_date AS next_date,
    visitor_sessions.visitor_id AS visitor_id,
    MAX(visitor_sessions.next_date_clicks) AS next_date_clicks,
    COUNT(
      CASE
        WHEN next_sessions.started_at IS NULL
        OR clickstream.occurred_at < next_sessions.started_at
        THEN clickstream.event_id
      END
    ) AS clicks
  FROM visitor_sessions AS visitor_sessions
  LEFT JOIN visitor_sessions AS next_sessions
    ON visitor_sessions.next_date = next_sessions.date
    AND visitor_sessions.visitor_id = next_sessions.visitor_id
  LEFT JOIN silver.clickstream AS clickstream
    ON visitor_sessions.next_date = clickstream.event_date
    AND visitor_sessions.visitor_id = clickstream.visitor_id
    AND NOT clickstream.is_bot_agent
  GROUP BY
    visitor_sessions.date,
    visitor_sessions.next_date,
    visitor_sessions.visitor_id
)
SELECT
  visitor_clicks.date AS date,
  COUNT(*) AS visitor_count,
  SUM(visitor_clicks.clicks) AS clicks,
  SUM(visitor_clicks.next_date_clicks) AS session_clicks
FROM visitor_clicks AS visitor_clicks
INNER JOIN computed_dates AS computed_dates
  ON visitor_clicks.next_date = computed_dates.date
WHERE
  visitor_clicks.clicks <> visitor_clicks.next_date_clicks
GROUP BY
  visitor_clicks.date
