MODEL (
  name ops.volume_anomalies,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per event feed and date whose row count is far from that of the same weekday in earlier weeks.',
  grain (feed, event_date),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, event_date, row_count, usual_count)),
    unique_combination_of_columns(columns := (feed, event_date))
  )
);

WITH daily_rows AS (
  SELECT
    object_dates.feed AS feed,
    object_dates.event_date AS event_date,
    SUM(object_dates.row_count) AS row_count
  FROM ops.object_dates AS object_dates
  GROUP BY
    object_dates.feed,
    object_dates.event_date
), usual_rows AS (
  SELECT
    daily_rows.feed AS feed,
    daily_rows.event_date AS event_date,
    MAX(daily_rows.row_count) AS row_count,
    MEDIAN(earlier_rows.row_count) AS usual_count,
    COUNT(earlier_rows.row_count) AS weeks
  FROM daily_rows AS daily_rows
  INNER JOIN daily_rows AS earlier_rows
    ON daily_rows.feed = earlier_rows.feed
    AND earlier_rows.event_date < daily_rows.event_date
    AND earlier_rows.event_date >= daily_rows.event_date - INTERVAL '56' DAY
    AND @DAY_OF_WEEK(earlier_rows.event_date) = @DAY_OF_WEEK(daily_rows.event_date)
  GROUP BY
    daily_rows.feed,
    daily_rows.event_date
)
SELECT
  usual_rows.feed::TEXT AS feed, /* Name of the feed and its contract */
  usual_rows.event_date::DATE AS event_date, /* UTC date of the events */
  usual_rows.row_count::BIGINT AS row_count, /* Rows of bronze on that date */
  usual_rows.usual_count::DOUBLE AS usual_count, /* Median on the same weekday in the eight weeks before, from at least three of them */
  (
    usual_rows.row_count::DOUBLE / NULLIF(usual_rows.usual_count, 0)
  )::DOUBLE AS ratio /* row_count / usual_count */
FROM usual_rows AS usual_rows
WHERE
  usual_rows.weeks >= 3
  AND NOT usual_rows.row_count BETWEEN usual_rows.usual_count / @volume_anomaly_factor AND usual_rows.usual_count * @volume_anomaly_factor
