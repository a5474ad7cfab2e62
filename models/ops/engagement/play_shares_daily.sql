MODEL (
  name ops.play_shares_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per day, dimension and member: its share of the plays of gold.activity_engagement_metrics.',
  grain (date, dimension, member),
  tags (ops, engagement),
  partitioned_by date,
  audits (
    not_null(columns := (date, dimension, member, plays, share)),
    unique_combination_of_columns(columns := (date, dimension, member)),
    accepted_range("column" := share, min_v := 0, max_v := 1)
  )
);

WITH member_plays AS (
  SELECT
    metrics.date AS date,
    'activity_type' AS dimension,
    COALESCE(metrics.activity_type, '') AS member,
    SUM(metrics.activities_played) AS plays
  FROM gold.activity_engagement_metrics AS metrics
  WHERE
    metrics.date BETWEEN @start_date AND @end_date
  GROUP BY
    metrics.date,
    COALESCE(metrics.activity_type, '')
  UNION ALL
  SELECT
    metrics.date AS date,
    'country_code' AS dimension,
    COALESCE(metrics.country_code, '') AS member,
    SUM(metrics.activities_played) AS plays
  FROM gold.activity_engagement_metrics AS metrics
  WHERE
    metrics.date BETWEEN @start_date AND @end_date
  GROUP BY
    metrics.date,
    COALESCE(metrics.country_code, '')
  UNION ALL
  SELECT
    metrics.date AS date,
    'os_name' AS dimension,
    COALESCE(metrics.os_name, '') AS member,
    SUM(metrics.activities_played) AS plays
  FROM gold.activity_engagement_metrics AS metrics
  WHERE
    metrics.date BETWEEN @start_date AND @end_date
  GROUP BY
    metrics.date,
    COALESCE(metrics.os_name, '')
  UNION ALL
  SELECT
    metrics.date AS date,
    'subscription_status' AS dimension,
    COALESCE(metrics.subscription_status, '') AS member,
    SUM(metrics.activities_played) AS plays
  FROM gold.activity_engagement_metrics AS metrics
  WHERE
    metrics.date BETWEEN @start_date AND @end_date
  GROUP BY
    metrics.date,
    COALESCE(metrics.subscription_status, '')
)
SELECT
  member_plays.date::DATE AS date, /* UTC date of the plays */
  member_plays.dimension::TEXT AS dimension, /* Column of gold.activity_engagement_metrics */
  member_plays.member::TEXT AS member, /* Value of it, empty for NULL */
  member_plays.plays::BIGINT AS plays, /* Plays of that day with it, additive over days and members */
  (
    member_plays.plays::DOUBLE / NULLIF(
      SUM(member_plays.plays) OVER (PARTITION BY member_plays.date, member_plays.dimension),
      0
    )
  )::DOUBLE AS share /* Of the plays of that day */
FROM member_plays AS member_plays
