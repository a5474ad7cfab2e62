MODEL (
  name gold.fct_play_time_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per day and subscription status of the plays: how many there were, how many of them have a duration, and their time.',
  grain (date, subscription_status),
  tags (gold, engagement),
  partitioned_by date,
  audits (
    not_null(columns := (date, subscription_status, plays, timed_plays)),
    unique_combination_of_columns(columns := (date, subscription_status)),
    forall(criteria := (plays > 0, timed_plays BETWEEN 0 AND plays))
  )
);

SELECT
  activity_events_enriched.date::DATE AS date, /* UTC date of the plays */
  activity_events_enriched.subscription_status::TEXT AS subscription_status, /* subscribed, trial, free or lapsed when the play ended */
  COUNT(activity_events_enriched.event_id)::BIGINT AS plays, /* Plays, additive */
  COUNT(activity_events_enriched.duration_seconds)::BIGINT AS timed_plays, /* Plays with a duration, additive: the divisor of a mean duration */
  SUM(activity_events_enriched.duration_seconds)::DOUBLE AS total_time_spent /* Seconds played, as reported, additive; NULL if no play had a duration */
FROM silver.activity_events_enriched AS activity_events_enriched
WHERE
  activity_events_enriched.date BETWEEN @start_date AND @end_date
GROUP BY
  activity_events_enriched.date,
  activity_events_enriched.subscription_status
