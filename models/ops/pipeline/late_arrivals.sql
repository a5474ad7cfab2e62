MODEL (
  name ops.late_arrivals,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per event feed: how many days after they happened its events were written.',
  grain feed,
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, row_count, p50_days, max_days)),
    unique_values(columns := feed)
  )
);

WITH days_late AS (
  SELECT
    object_dates.feed AS feed,
    GREATEST(DATE_DIFF('DAY', object_dates.event_date, object_dates.modified_at::DATE), 0) AS days,
    SUM(object_dates.row_count) AS row_count
  FROM ops.object_dates AS object_dates
  GROUP BY
    object_dates.feed,
    GREATEST(DATE_DIFF('DAY', object_dates.event_date, object_dates.modified_at::DATE), 0)
), shares AS (
  SELECT
    days_late.feed AS feed,
    days_late.days AS days,
    days_late.row_count AS row_count,
    SUM(days_late.row_count) OVER (PARTITION BY days_late.feed ORDER BY days_late.days)::DOUBLE / NULLIF(SUM(days_late.row_count) OVER (PARTITION BY days_late.feed), 0) AS share
  FROM days_late AS days_late
)
SELECT
  shares.feed::TEXT AS feed, /* Name of the feed and its contract */
  SUM(shares.row_count)::BIGINT AS row_count, /* Rows of bronze */
  SUM(CASE WHEN shares.days > 0 THEN shares.row_count ELSE 0 END)::BIGINT AS late_row_count, /* Rows whose object was written on a later UTC date */
  MIN(CASE WHEN shares.share >= 0.5 THEN shares.days END)::BIGINT AS p50_days, /* 50th percentile of days late, weighted by rows */
  MIN(CASE WHEN shares.share >= 0.9 THEN shares.days END)::BIGINT AS p90_days, /* 90th percentile of days late, weighted by rows */
  MIN(CASE WHEN shares.share >= 0.99 THEN shares.days END)::BIGINT AS p99_days, /* 99th percentile of days late, weighted by rows */
  MAX(shares.days)::BIGINT AS max_days /* Maximum days late */
FROM shares AS shares
GROUP BY
  shares.feed
