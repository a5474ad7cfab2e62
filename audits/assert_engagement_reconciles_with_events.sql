AUDIT (
  name assert_engagement_reconciles_with_events,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'by_date'),
  description 'No rows: on every date plays and completed plays of the engagement metrics equal those of the enriched events.'
);

WITH event_totals AS (
  SELECT
    activity_events_enriched.date AS date,
    COUNT(*) AS plays,
    SUM(CASE WHEN activity_events_enriched.completed_flag THEN 1 ELSE 0 END) AS completed_plays
  FROM silver.activity_events_enriched AS activity_events_enriched
  GROUP BY
    activity_events_enriched.date
), metric_totals AS (
  SELECT
    activity_engagement_metrics.date AS date,
    SUM(activity_engagement_metrics.activities_played) AS plays,
    SUM(activity_engagement_metrics.completed_plays) AS completed_plays
  FROM gold.activity_engagement_metrics AS activity_engagement_metrics
  GROUP BY
    activity_engagement_metrics.date
)
SELECT
  COALESCE(event_totals.date, metric_totals.date) AS date,
  event_totals.plays AS event_plays,
  metric_totals.plays AS metric_plays,
  event_totals.completed_plays AS event_completed_plays,
  metric_totals.completed_plays AS metric_completed_plays
FROM event_totals AS event_totals
FULL JOIN metric_totals AS metric_totals
  ON event_totals.date = metric_totals.date
WHERE
  COALESCE(event_totals.plays, 0) <> COALESCE(metric_totals.plays, 0)
  OR COALESCE(event_totals.completed_plays, 0) <> COALESCE(metric_totals.completed_plays, 0)
