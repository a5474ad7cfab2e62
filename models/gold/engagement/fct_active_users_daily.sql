MODEL (
  name gold.fct_active_users_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per day and account or child that was active, that is, left at least one activity. Keys stand for the identifiers, which stay in silver.',
  grain (date, user_kind, user_key),
  tags (gold, engagement),
  partitioned_by date,
  audits (
    not_null(columns := (date, user_kind, user_key, plays, completed_plays)),
    unique_combination_of_columns(columns := (date, user_kind, user_key)),
    accepted_values("column" := user_kind, is_in := ('account', 'child')),
    forall(criteria := (plays > 0, completed_plays BETWEEN 0 AND plays))
  )
);

WITH played AS (
  SELECT
    activity_events_enriched.date AS date,
    activity_events_enriched.user_id AS user_id,
    activity_events_enriched.child_id AS child_id,
    MAX(activity_events_enriched.country_code) AS country_code, /* The same for all plays of an account */
    COUNT(activity_events_enriched.event_id) AS plays,
    COUNT(
      CASE
        WHEN activity_events_enriched.completed_flag
        THEN activity_events_enriched.event_id
      END
    ) AS completed_plays
  FROM silver.activity_events_enriched AS activity_events_enriched
  WHERE
    activity_events_enriched.date BETWEEN @start_date AND @end_date
  GROUP BY
    activity_events_enriched.date,
    activity_events_enriched.user_id,
    activity_events_enriched.child_id
), active_users AS (
  SELECT
    played.date AS date,
    'account' AS user_kind,
    MD5(played.user_id) AS user_key,
    MAX(played.country_code) AS country_code,
    SUM(played.plays) AS plays,
    SUM(played.completed_plays) AS completed_plays
  FROM played AS played
  GROUP BY
    played.date,
    played.user_id
  UNION ALL
  /* A play without a child counts for its account alone */
  SELECT
    played.date AS date,
    'child' AS user_kind,
    MD5(CONCAT_WS('|', played.user_id, played.child_id)) AS user_key,
    played.country_code AS country_code,
    played.plays AS plays,
    played.completed_plays AS completed_plays
  FROM played AS played
  WHERE
    played.child_id <> ''
)
SELECT
  active_users.date::DATE AS date, /* UTC date of the plays */
  active_users.user_kind::TEXT AS user_kind, /* account, or child for a profile within one; the two are never added */
  active_users.user_key::TEXT AS user_key, /* Surrogate key of the account or child */
  active_users.country_code::TEXT AS country_code, /* Country of the account by its newest record; NULL if the account is unknown */
  active_users.plays::BIGINT AS plays, /* Plays, additive within a user_kind */
  active_users.completed_plays::BIGINT AS completed_plays /* Completed plays, additive within a user_kind */
FROM active_users AS active_users
