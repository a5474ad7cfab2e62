AUDIT (
  name assert_event_id_on_one_date,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'warning'),
  description 'No rows: an event has one date. Silver deduplicates within a date only, so a corrected clock shows up here.'
);

SELECT
  activity_events.event_id AS event_id,
  COUNT(DISTINCT activity_events.event_date) AS date_count
FROM silver.activity_events AS activity_events
GROUP BY
  activity_events.event_id
HAVING
  COUNT(DISTINCT activity_events.event_date) > 1
