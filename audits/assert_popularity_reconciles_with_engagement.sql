AUDIT (
  name assert_popularity_reconciles_with_engagement,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'by_date'),
  description 'No rows: on every date both gold tables have the same plays, completed plays and time.'
);

WITH metric_totals AS (
  SELECT
    activity_engagement_metrics.date AS date,
    SUM(activity_engagement_metrics.activities_played) AS plays,
    SUM(activity_engagement_metrics.completed_plays) AS completed_plays,
    COALESCE(SUM(activity_engagement_metrics.total_time_spent), 0) AS total_time_spent,
    COALESCE(SUM(activity_engagement_metrics.capped_time_spent), 0) AS capped_time_spent
  FROM gold.activity_engagement_metrics AS activity_engagement_metrics
  GROUP BY
    activity_engagement_metrics.date
), popularity_totals AS (
  SELECT
    activity_popularity_daily.date AS date,
    SUM(activity_popularity_daily.plays) AS plays,
    SUM(activity_popularity_daily.completed_plays) AS completed_plays,
    COALESCE(SUM(activity_popularity_daily.total_time_spent), 0) AS total_time_spent,
    COALESCE(SUM(activity_popularity_daily.capped_time_spent), 0) AS capped_time_spent
  FROM gold.activity_popularity_daily AS activity_popularity_daily
  GROUP BY
    activity_popularity_daily.date
)
SELECT
  COALESCE(metric_totals.date, popularity_totals.date) AS date,
  metric_totals.plays AS metric_plays,
  popularity_totals.plays AS popularity_plays,
  metric_totals.completed_plays AS metric_completed_plays,
  popularity_totals.completed_plays AS popularity_completed_plays,
  metric_totals.total_time_spent AS metric_total_time_spent,
  popularity_totals.total_time_spent AS popularity_total_time_spent,
  metric_totals.capped_time_spent AS metric_capped_time_spent,
  popularity_totals.capped_time_spent AS popularity_capped_time_spent
FROM metric_totals AS metric_totals
FULL JOIN popularity_totals AS popularity_totals
  ON metric_totals.date = popularity_totals.date
WHERE
  COALESCE(metric_totals.plays, 0) <> COALESCE(popularity_totals.plays, 0)
  OR COALESCE(metric_totals.completed_plays, 0) <> COALESCE(popularity_totals.completed_plays, 0)
  /* Sums of doubles depend on their order, so one part in a million is tolerated */
  OR ABS(metric_totals.total_time_spent - popularity_totals.total_time_spent) > 0.000001 * (1 + ABS(metric_totals.total_time_spent))
  OR ABS(metric_totals.capped_time_spent - popularity_totals.capped_time_spent) > 0.000001 * (1 + ABS(metric_totals.capped_time_spent))
