MODEL (
  name gold.q1_completion_rate_feeds,
  kind VIEW,
  cron '@daily',
  owner analytics,
  description 'One row per type of activity that was played, highest completion rate first: question 1 asked of the loaded feeds, whose catalogue has types instead of themes.',
  grain activity_type,
  tags (gold, analytics),
  audits (
    not_null(columns := (activity_type, completion_rate_pct, completed_count, exit_count)),
    unique_values(columns := activity_type),
    accepted_range("column" := completion_rate_pct, min_v := 0, max_v := 100)
  )
);

WITH type_exits AS (
  SELECT
    daily_metrics.activity_type AS activity_type,
    SUM(daily_metrics.completed_plays) AS completed_count,
    SUM(daily_metrics.activities_played) AS exit_count
  FROM gold.activity_engagement_metrics AS daily_metrics
  WHERE
    NOT daily_metrics.activity_type IS NULL
  GROUP BY
    daily_metrics.activity_type
)
SELECT
  type_exits.activity_type::TEXT AS activity_type, /* Type of activity; plays of unknown activities are left out */
  @PERCENT_OF(type_exits.completed_count, type_exits.exit_count)::DOUBLE AS completion_rate_pct, /* Completed exits, percent of exits, two decimals; NOT additive */
  type_exits.completed_count::BIGINT AS completed_count, /* Completed exits, additive */
  type_exits.exit_count::BIGINT AS exit_count /* Exits, additive; an unknown flag counts as not completed */
FROM type_exits AS type_exits
ORDER BY
  completion_rate_pct DESC,
  activity_type
