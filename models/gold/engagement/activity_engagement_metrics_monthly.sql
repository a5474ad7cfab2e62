MODEL (
  name gold.activity_engagement_metrics_monthly,
  kind VIEW,
  cron '@daily',
  owner engagement,
  description 'One row per month and group of gold.activity_engagement_metrics; the current month is partial.',
  grain (
    month_date,
    country_code,
    os_name,
    os_version,
    app_version,
    subscription_status,
    activity_type,
    collection_id
  ),
  tags (gold, engagement),
  audits (
    not_null(columns := (month_date, subscription_status))
  ) /* Of the groups alone, which reads no sums: those of audited days are right */
);

SELECT
  DATE_TRUNC('MONTH', daily_metrics.date)::DATE AS month_date, /* First day of the month of the plays, UTC */
  daily_metrics.country_code::TEXT AS country_code, /* Country of the account; NULL if the account is unknown */
  daily_metrics.os_name::TEXT AS os_name, /* Name of the operating system */
  daily_metrics.os_version::TEXT AS os_version, /* Version of the operating system */
  daily_metrics.app_version::TEXT AS app_version, /* Version of the app */
  daily_metrics.subscription_status::TEXT AS subscription_status, /* Status when the play ended */
  daily_metrics.activity_type::TEXT AS activity_type, /* Type of activity; NULL if the activity is unknown */
  daily_metrics.collection_id::TEXT AS collection_id, /* Collection; empty if none */
  SUM(daily_metrics.activities_played)::BIGINT AS activities_played, /* Plays, additive */
  SUM(daily_metrics.total_time_spent)::DOUBLE AS total_time_spent, /* Seconds played, as reported, additive */
  ROUND(
    (
      SUM(daily_metrics.completed_plays)::DOUBLE / NULLIF(SUM(daily_metrics.activities_played), 0)
    )::DECIMAL(18, 15),
    3
  )::DOUBLE AS completion_rate, /* Share of plays that were completed, 0 to 1, three decimals, from the additive columns */
  SUM(daily_metrics.completed_plays)::BIGINT AS completed_plays, /* Completed plays, additive */
  SUM(daily_metrics.capped_time_spent)::DOUBLE AS capped_time_spent /* Seconds played, each play capped at play_cap_seconds, additive */
FROM gold.activity_engagement_metrics AS daily_metrics
GROUP BY
  DATE_TRUNC('MONTH', daily_metrics.date)::DATE,
  daily_metrics.country_code,
  daily_metrics.os_name,
  daily_metrics.os_version,
  daily_metrics.app_version,
  daily_metrics.subscription_status,
  daily_metrics.activity_type,
  daily_metrics.collection_id
