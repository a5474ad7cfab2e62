MODEL (
  name gold.rpt_most_played_activities,
  kind VIEW,
  cron '@daily',
  owner engagement,
  description 'One row per activity that was ever played, ranked by its plays.',
  grain activity_id,
  tags (gold, engagement),
  audits (
    not_null(columns := (activity_id, plays_rank, plays, plays_share)),
    unique_values(columns := activity_id),
    accepted_range("column" := plays_share, min_v := 0, max_v := 1)
  )
);

WITH activity_totals AS (
  SELECT
    daily_popularity.activity_id AS activity_id,
    SUM(daily_popularity.plays) AS plays,
    SUM(daily_popularity.completed_plays) AS completed_plays,
    SUM(daily_popularity.total_time_spent) AS total_time_spent,
    SUM(daily_popularity.capped_time_spent) AS capped_time_spent,
    MIN(daily_popularity.date) AS first_played_date,
    MAX(daily_popularity.date) AS last_played_date
  FROM gold.activity_popularity_daily AS daily_popularity
  WHERE
    NOT daily_popularity.activity_id IS NULL
  GROUP BY
    daily_popularity.activity_id
)
SELECT
  activity_totals.activity_id::TEXT AS activity_id, /* Identifier of the activity */
  activities.activity_name::TEXT AS activity_name, /* Title of the activity; NULL if the catalogue lacks it */
  activities.activity_type::TEXT AS activity_type, /* Type of activity; NULL if the catalogue lacks it */
  RANK() OVER (ORDER BY activity_totals.plays DESC)::BIGINT AS plays_rank, /* 1 for the most played; ties share a rank */
  activity_totals.plays::BIGINT AS plays, /* Plays over all days */
  (
    activity_totals.plays::DOUBLE / NULLIF(SUM(activity_totals.plays) OVER (), 0)
  )::DOUBLE AS plays_share, /* Share of the plays of all activities, 0 to 1 */
  activity_totals.completed_plays::BIGINT AS completed_plays, /* Completed plays over all days */
  ROUND(
    (
      activity_totals.completed_plays::DOUBLE / NULLIF(activity_totals.plays, 0)
    )::DECIMAL(18, 15),
    3
  )::DOUBLE AS completion_rate, /* Share of plays that were completed, 0 to 1, three decimals */
  activity_totals.total_time_spent::DOUBLE AS total_time_spent, /* Seconds played, as reported */
  activity_totals.capped_time_spent::DOUBLE AS capped_time_spent, /* Seconds played, each play capped at play_cap_seconds */
  activity_totals.first_played_date::DATE AS first_played_date, /* First UTC date on which it was played */
  activity_totals.last_played_date::DATE AS last_played_date /* Last UTC date on which it was played */
FROM activity_totals AS activity_totals
LEFT JOIN silver.activities AS activities
  ON activity_totals.activity_id = activities.activity_id
