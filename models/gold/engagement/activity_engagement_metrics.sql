MODEL (
  name gold.activity_engagement_metrics,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per day, country, operating system and version, app version, subscription status, activity type and collection; NULL forms its own group.',
  grain (
    date,
    country_code,
    os_name,
    os_version,
    app_version,
    subscription_status,
    activity_type,
    collection_id
  ),
  tags (gold, engagement),
  partitioned_by date,
  audits (
    not_null(
      columns := (date, subscription_status, activities_played, completion_rate, completed_plays)
    ),
    unique_combination_of_columns(
      columns := (
        date,
        country_code,
        os_name,
        os_version,
        app_version,
        subscription_status,
        activity_type,
        collection_id
      )
    ),
    accepted_range("column" := completion_rate, min_v := 0, max_v := 1),
    forall(
      criteria := (activities_played > 0, completed_plays BETWEEN 0 AND activities_played)
    )
  )
);

SELECT
  activity_events_enriched.date::DATE AS date, /* UTC date of the plays */
  activity_events_enriched.country_code::TEXT AS country_code, /* Country of the account; NULL if the account is unknown */
  activity_events_enriched.os_name::TEXT AS os_name, /* Name of the operating system */
  activity_events_enriched.os_version::TEXT AS os_version, /* Version of the operating system */
  activity_events_enriched.app_version::TEXT AS app_version, /* Version of the app */
  activity_events_enriched.subscription_status::TEXT AS subscription_status, /* Status when the play ended */
  activity_events_enriched.activity_type::TEXT AS activity_type, /* Type of activity; NULL if the activity is unknown */
  activity_events_enriched.collection_id::TEXT AS collection_id, /* Collection; empty if none */
  COUNT(activity_events_enriched.event_id)::BIGINT AS activities_played, /* Plays, additive */
  SUM(activity_events_enriched.duration_seconds)::DOUBLE AS total_time_spent, /* Seconds played, as reported, additive; NULL if no play had a duration */
  ROUND(
    AVG(CASE WHEN activity_events_enriched.completed_flag THEN 1 ELSE 0 END)::DECIMAL(18, 15),
    3
  )::DOUBLE AS completion_rate, /* Share of plays that were completed, 0 to 1, three decimals; an unknown flag counts as not completed */
  COUNT(
    CASE
      WHEN activity_events_enriched.completed_flag
      THEN activity_events_enriched.event_id
    END
  )::BIGINT AS completed_plays, /* Completed plays, additive */
  SUM(
    CASE
      WHEN activity_events_enriched.duration_seconds > @play_cap_seconds
      THEN @play_cap_seconds
      ELSE activity_events_enriched.duration_seconds
    END
  )::DOUBLE AS capped_time_spent /* Seconds played, each play capped at play_cap_seconds, additive */
FROM silver.activity_events_enriched AS activity_events_enriched
WHERE
  activity_events_enriched.date BETWEEN @start_date AND @end_date
GROUP BY
  activity_events_enriched.date,
  activity_events_enriched.country_code,
  activity_events_enriched.os_name,
  activity_events_enriched.os_version,
  activity_events_enriched.app_version,
  activity_events_enriched.subscription_status,
  activity_events_enriched.activity_type,
  activity_events_enriched.collection_id
