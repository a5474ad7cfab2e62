AUDIT (
  name assert_enriched_reconciles_with_events,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'by_date'),
  description 'No rows: on every date there are as many enriched events as events, so no join loses or duplicates one.'
);

WITH event_counts AS (
  SELECT
    activity_events.event_date AS date,
    COUNT(*) AS row_count
  FROM silver.activity_events AS activity_events
  GROUP BY
    activity_events.event_date
), enriched_counts AS (
  SELECT
    activity_events_enriched.date AS date,
    COUNT(*) AS row_count
  FROM silver.activity_events_enriched AS activity_events_enriched
  GROUP BY
    activity_events_enriched.date
)
SELECT
  COALESCE(event_counts.date, enriched_counts.date) AS date,
  event_counts.row_count AS event_count,
  enriched_counts.row_count AS enriched_count
FROM event_counts AS event_counts
FULL JOIN enriched_counts AS enriched_counts
  ON event_counts.date = enriched_counts.date
WHERE
  COALESCE(event_counts.row_count, 0) <> COALESCE(enriched_counts.row_count, 0)
