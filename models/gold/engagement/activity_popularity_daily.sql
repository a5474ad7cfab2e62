MODEL (
  name gold.activity_popularity_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per day and activity that was played; plays without an activity form the row whose activity_id is NULL.',
  grain (date, activity_id),
  tags (gold, engagement),
  partitioned_by date,
  audits (
    not_null(columns := (date, plays, completed_plays, user_count)),
    unique_combination_of_columns(columns := (date, activity_id)),
    forall(
      criteria := (plays > 0, completed_plays BETWEEN 0 AND plays, user_count BETWEEN 1 AND plays)
    )
  )
);

SELECT
  activity_events_enriched.date::DATE AS date, /* UTC date of the plays */
  activity_events_enriched.activity_id::TEXT AS activity_id, /* Activity; may be missing from silver.activities */
  MAX(activity_events_enriched.activity_name)::TEXT AS activity_name, /* Title of the activity; NULL if the activity is unknown */
  MAX(activity_events_enriched.activity_type)::TEXT AS activity_type, /* Type of activity; NULL if the activity is unknown */
  MAX(activity_events_enriched.activity_subtype)::TEXT AS activity_subtype, /* Subcategory within the type */
  COUNT(activity_events_enriched.event_id)::BIGINT AS plays, /* Plays, additive */
  COUNT(
    CASE
      WHEN activity_events_enriched.completed_flag
      THEN activity_events_enriched.event_id
    END
  )::BIGINT AS completed_plays, /* Completed plays, additive */
  SUM(activity_events_enriched.duration_seconds)::DOUBLE AS total_time_spent, /* Seconds played, as reported, additive; NULL if no play had a duration */
  SUM(
    CASE
      WHEN activity_events_enriched.duration_seconds > @play_cap_seconds
      THEN @play_cap_seconds
      ELSE activity_events_enriched.duration_seconds
    END
  )::DOUBLE AS capped_time_spent, /* Seconds played, each play capped at play_cap_seconds, additive */
  COUNT(DISTINCT activity_events_enriched.user_id)::BIGINT AS user_count /* Distinct accounts that played it that day; NOT additive over days or activities */
FROM silver.activity_events_enriched AS activity_events_enriched
WHERE
  activity_events_enriched.date BETWEEN @start_date AND @end_date
GROUP BY
  activity_events_enriched.date,
  activity_events_enriched.activity_id
