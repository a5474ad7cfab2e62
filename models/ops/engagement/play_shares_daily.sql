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

WITH computed AS (
  SELECT
    metrics.date AS date,
    metrics.activity_type AS activity_type,
    metrics.country_code AS country_code,
    metrics.os_name AS os_name,
    metrics.subscription_status AS subscription_status,
    metrics.activities_played AS activities_played
  FROM gold.activity_engagement_metrics AS metrics
  WHERE
    metrics.date BETWEEN @start_date AND @end_date
), members AS (
  SELECT
    computed.date AS date,
    'activity_type' AS dimension,
    COALESCE(computed.activity_type, '') AS member,
    computed.activities_played AS plays
  FROM computed AS computed
  UNION ALL
  SELECT
    computed.date AS date,
    'country_code' AS dimension,
    COALESCE(computed.country_code, '') AS member,
    computed.activities_played AS plays
  FROM computed AS computed
  UNION ALL
  SELECT
    computed.date AS date,
    'os_name' AS dimension,
    COALESCE(computed.os_name, '') AS member,
    computed.activities_played AS plays
  FROM computed AS computed
  UNION ALL
  SELECT
    computed.date AS date,
    'subscription_status' AS dimension,
    COALESCE(computed.subscription_status, '') AS member,
    computed.activities_played AS plays
  FROM computed AS computed
), member_plays AS (
  SELECT
    members.date AS date,
    members.dimension AS dimension,
    members.member AS member,
    SUM(members.plays) AS plays
  FROM members AS members
  GROUP BY
    members.date,
    members.dimension,
    members.member
)
SELECT
  member_plays.date::DATE AS date, /* UTC date of the plays */
  member_plays.dimension::TEXT AS dimension, /* Column of gold.activity_engagement_metrics */
  member_plays.member::TEXT AS member, /* Value of that column; empty for NULL */
  member_plays.plays::BIGINT AS plays, /* Plays with that value on that day, additive over days and members */
  (
    member_plays.plays::DOUBLE / NULLIF(
      SUM(member_plays.plays) OVER (PARTITION BY member_plays.date, member_plays.dimension),
      0
    )
  )::DOUBLE AS share /* Share of the plays of that day, 0 to 1 */
FROM member_plays AS member_plays
