MODEL (
  name gold.q3_subscription_impact_feeds,
  kind FULL, /* A changed account moves its subscription, and each new day completes the weeks of one day's subscriptions */
  cron '@daily',
  owner analytics,
  description 'One row per month and platform in which subscriptions began: question 3 asked of the loaded feeds, of subscriptions whose two weeks are computed.',
  grain (month_date, platform),
  tags (gold, analytics),
  audits (
    not_null(
      columns := (
        month_date,
        avg_completed_before,
        avg_completed_after,
        completed_before_count,
        completed_after_count,
        subscription_count
      )
    ),
    unique_combination_of_columns(columns := (month_date, platform)),
    forall(
      criteria := (completed_before_count >= 0, completed_after_count >= 0, subscription_count > 0)
    )
  )
);

WITH known_days AS (
  /* Days before the first play are unknown, not empty */
  SELECT
    MIN(CASE WHEN rpt_active_users.daily_active_users > 0 THEN rpt_active_users.date END) AS first_date,
    MAX(rpt_active_users.date) AS last_date
  FROM gold.rpt_active_users AS rpt_active_users
), known_subscriptions AS (
  SELECT
    users.user_id AS user_id,
    users.subscription_start_at::DATE AS subscription_date
  FROM silver.users AS users
  INNER JOIN known_days AS known_days
    ON users.subscription_start_at::DATE >= known_days.first_date + INTERVAL '7' DAY
    AND users.subscription_start_at::DATE <= known_days.last_date - INTERVAL '7' DAY
), subscription_weeks AS (
  SELECT
    known_subscriptions.user_id AS user_id,
    known_subscriptions.subscription_date AS subscription_date,
    SUM(
      CASE
        WHEN @IN_WEEK_BEFORE(known_subscriptions.subscription_date, user_activity_daily.date)
        THEN user_activity_daily.completed_plays
        ELSE 0
      END
    ) AS completed_before,
    SUM(
      CASE
        WHEN @IN_WEEK_AFTER(known_subscriptions.subscription_date, user_activity_daily.date)
        THEN user_activity_daily.completed_plays
        ELSE 0
      END
    ) AS completed_after
  FROM known_subscriptions AS known_subscriptions
  /* Outer join, so that a subscriber who did not play counts as zero */
  LEFT JOIN silver.user_activity_daily AS user_activity_daily
    ON known_subscriptions.user_id = user_activity_daily.user_id
  GROUP BY
    known_subscriptions.user_id,
    known_subscriptions.subscription_date
), platforms AS (
  /* The operating system on the last day with a play up to the subscription: no feed names the store */
  SELECT
    known_subscriptions.user_id AS user_id,
    user_activity_daily.os_name AS platform
  FROM known_subscriptions AS known_subscriptions
  INNER JOIN silver.user_activity_daily AS user_activity_daily
    ON known_subscriptions.user_id = user_activity_daily.user_id
    AND known_subscriptions.subscription_date >= user_activity_daily.date
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY known_subscriptions.user_id ORDER BY user_activity_daily.date DESC) = 1
)
SELECT
  DATE_TRUNC('MONTH', subscription_weeks.subscription_date)::DATE AS month_date, /* First day of the month in which the subscriptions began */
  platforms.platform::TEXT AS platform, /* Operating system of the account, which stands for the store; NULL if it had not played before */
  @TWO_DECIMALS(AVG(subscription_weeks.completed_before::DOUBLE))::DOUBLE AS avg_completed_before, /* Completed exits per subscription, days -7 to -1, two decimals; NOT additive */
  @TWO_DECIMALS(AVG(subscription_weeks.completed_after::DOUBLE))::DOUBLE AS avg_completed_after, /* Completed exits per subscription, days +1 to +7, two decimals; NOT additive */
  SUM(subscription_weeks.completed_before)::BIGINT AS completed_before_count, /* Completed exits, days -7 to -1, additive */
  SUM(subscription_weeks.completed_after)::BIGINT AS completed_after_count, /* Completed exits, days +1 to +7, additive */
  COUNT(subscription_weeks.user_id)::BIGINT AS subscription_count /* Subscriptions that began in the month, additive */
FROM subscription_weeks AS subscription_weeks
LEFT JOIN platforms AS platforms
  ON subscription_weeks.user_id = platforms.user_id
GROUP BY
  DATE_TRUNC('MONTH', subscription_weeks.subscription_date)::DATE,
  platforms.platform
