MODEL (
  name silver.activity_events_enriched,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per activity exit, with its account, its activity and the subscription status at that time.',
  grain (event_id, date),
  tags (silver, engagement),
  partitioned_by date,
  audits (
    not_null(columns := (event_id, user_id, occurred_at, subscription_status, date)),
    unique_combination_of_columns(columns := (event_id, date)),
    accepted_values(
      "column" := subscription_status,
      is_in := ('subscribed', 'trial', 'free', 'lapsed')
    ),
    referential_integrity(child := user_id, parent := silver.users, key := user_id, blocking := FALSE), /* Plays of accounts missing from the users feed are real; engagement reviews the warning of each run */
    referential_integrity(
      child := activity_id,
      parent := silver.activities,
      key := activity_id,
      blocking := FALSE
    ) /* Likewise for activities; both are filled in when the entity arrives */
  )
);

SELECT
  activity_events.event_id::TEXT AS event_id, /* Identifier of the event */
  activity_events.user_id::TEXT AS user_id, /* Account that played; may be missing from silver.users */
  activity_events.activity_id::TEXT AS activity_id, /* Activity that was left; may be missing from silver.activities */
  activity_events.occurred_at::TIMESTAMP AS occurred_at, /* When the activity was left, UTC */
  activity_events.duration_seconds::DOUBLE AS duration_seconds, /* Duration of the play in seconds, as reported */
  activity_events.completed_flag::BOOLEAN AS completed_flag, /* Whether it was played to the end; NULL if unknown */
  activity_events.os_name::TEXT AS os_name, /* Name of the operating system */
  activity_events.os_version::TEXT AS os_version, /* Version of the operating system */
  activity_events.app_version::TEXT AS app_version, /* Version of the app */
  activity_events.collection_id::TEXT AS collection_id, /* Collection from which it was started; empty if none */
  activities.activity_name::TEXT AS activity_name, /* Title of the activity; NULL if the activity is unknown */
  activities.activity_type::TEXT AS activity_type, /* Type of activity; NULL if the activity is unknown */
  activities.activity_subtype::TEXT AS activity_subtype, /* Subcategory within the type */
  users.country_code::TEXT AS country_code, /* Country of the account; NULL if the account is unknown */
  CASE
    WHEN activity_events.occurred_at BETWEEN users.subscription_start_at AND users.subscription_expire_at
    THEN 'subscribed'
    WHEN activity_events.occurred_at BETWEEN users.trial_start_at AND users.trial_end_at
    THEN 'trial'
    WHEN users.trial_start_at IS NULL
    OR activity_events.occurred_at < users.trial_start_at
    THEN 'free'
    ELSE 'lapsed'
  END::TEXT AS subscription_status, /* subscribed, trial, free or lapsed when the event occurred; unknown accounts are free */
  activity_events.event_date::DATE AS date, /* UTC date of occurred_at */
  activity_events.child_id::TEXT AS child_id /* Profile of the child within the account */
FROM silver.activity_events AS activity_events
LEFT JOIN silver.users AS users
  ON activity_events.user_id = users.user_id
LEFT JOIN silver.activities AS activities
  ON activity_events.activity_id = activities.activity_id
WHERE
  activity_events.event_date BETWEEN @start_date AND @end_date
