MODEL (
  name silver.user_activity_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner revenue,
  description 'One row per day and app account that played: its plays and time. In silver rather than gold because it identifies accounts.',
  grain (date, user_id),
  tags (silver, revenue),
  partitioned_by date,
  audits (
    not_null(columns := (date, user_id, plays, completed_plays, capped_seconds)),
    unique_combination_of_columns(columns := (date, user_id)),
    forall(criteria := (plays > 0, completed_plays BETWEEN 0 AND plays))
  )
);

SELECT
  activity_events.event_date::DATE AS date, /* UTC date of the plays */
  activity_events.user_id::TEXT AS user_id, /* Account that played, key of silver.users */
  MAX(activity_events.os_name)::TEXT AS os_name, /* Operating system of the plays; the last by name if there were several */
  COUNT(activity_events.event_id)::BIGINT AS plays, /* Plays, additive */
  SUM(CASE WHEN activity_events.completed_flag THEN 1 ELSE 0 END)::BIGINT AS completed_plays, /* Completed plays, additive */
  SUM(
    CASE
      WHEN activity_events.duration_seconds > @play_cap_seconds
      THEN @play_cap_seconds
      WHEN activity_events.duration_seconds > 0
      THEN activity_events.duration_seconds
      ELSE 0
    END
  )::DOUBLE AS capped_seconds /* Seconds played, each play clamped between 0 and play_cap_seconds, additive */
FROM silver.activity_events AS activity_events
WHERE
  activity_events.event_date BETWEEN @start_date AND @end_date
GROUP BY
  activity_events.event_date,
  activity_events.user_id
