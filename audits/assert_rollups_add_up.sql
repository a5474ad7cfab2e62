AUDIT (
  name assert_rollups_add_up,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'everything'),
  description 'No rows: plays and completed plays of weeks, months and years add up to those of the days, and every completion rate lies between 0 and 1.'
);

WITH totals AS (
  SELECT
    'week' AS period,
    SUM(weeks.activities_played) AS plays,
    SUM(weeks.completed_plays) AS completed_plays,
    COUNT(CASE WHEN weeks.completion_rate BETWEEN 0 AND 1 THEN NULL ELSE 1 END) AS wrong_rates
  FROM gold.activity_engagement_metrics_weekly AS weeks
  UNION ALL
  SELECT
    'month' AS period,
    SUM(months.activities_played) AS plays,
    SUM(months.completed_plays) AS completed_plays,
    COUNT(CASE WHEN months.completion_rate BETWEEN 0 AND 1 THEN NULL ELSE 1 END) AS wrong_rates
  FROM gold.activity_engagement_metrics_monthly AS months
  UNION ALL
  SELECT
    'year' AS period,
    SUM(years.activities_played) AS plays,
    SUM(years.completed_plays) AS completed_plays,
    COUNT(CASE WHEN years.completion_rate BETWEEN 0 AND 1 THEN NULL ELSE 1 END) AS wrong_rates
  FROM gold.activity_engagement_metrics_yearly AS years
), days AS (
  SELECT
    SUM(activity_engagement_metrics.activities_played) AS plays,
    SUM(activity_engagement_metrics.completed_plays) AS completed_plays
  FROM gold.activity_engagement_metrics AS activity_engagement_metrics
)
SELECT
  totals.period AS period,
  totals.plays AS plays,
  days.plays AS day_plays,
  totals.completed_plays AS completed_plays,
  days.completed_plays AS day_completed_plays,
  totals.wrong_rates AS wrong_rates
FROM totals AS totals
CROSS JOIN days AS days
WHERE
  COALESCE(totals.plays, 0) <> COALESCE(days.plays, 0)
  OR COALESCE(totals.completed_plays, 0) <> COALESCE(days.completed_plays, 0)
  OR totals.wrong_rates > 0
