MODEL (
  name gold.q3_subscription_impact,
  kind VIEW,
  cron '@daily',
  owner analytics,
  description 'One row per platform that sold subscriptions in the month: do children complete more in the week after subscribing than in the week before?',
  grain platform,
  tags (gold, analytics),
  audits (
    not_null(
      columns := (platform, avg_completed_before, avg_completed_after, subscription_count)
    ),
    unique_values(columns := platform),
    forall(criteria := (avg_completed_before >= 0, avg_completed_after >= 0))
  )
);

WITH month_subscriptions AS (
  SELECT
    subscriptions.user_id AS user_id,
    STRPTIME(subscriptions.subscription_date, '%Y-%m-%d')::DATE AS subscription_date,
    subscriptions.platform AS platform
  FROM seeds.subscriptions AS subscriptions
  WHERE
    DATE_TRUNC('MONTH', STRPTIME(subscriptions.subscription_date, '%Y-%m-%d'))::DATE = @VAR('subscription_impact_month')::DATE
), completed_exits AS (
  SELECT
    activity_events.user_id AS user_id,
    STRPTIME(activity_events.created_at, '%Y-%m-%d %H:%M:%S')::DATE AS event_date
  FROM seeds.activity_events AS activity_events
  WHERE
    activity_events.event_type = 'activity_exit' AND activity_events.completed
), subscription_weeks AS (
  SELECT
    month_subscriptions.user_id AS user_id,
    month_subscriptions.subscription_date AS subscription_date,
    month_subscriptions.platform AS platform,
    COUNT(
      CASE
        WHEN @IN_WEEK_BEFORE(month_subscriptions.subscription_date, completed_exits.event_date)
        THEN 1
      END
    ) AS completed_before, /* Days from the subscription to the exit; day 0 belongs to neither week, its exits may precede or follow the subscription */
    COUNT(
      CASE
        WHEN @IN_WEEK_AFTER(month_subscriptions.subscription_date, completed_exits.event_date)
        THEN 1
      END
    ) AS completed_after
  FROM month_subscriptions AS month_subscriptions
  /* Outer join, so that a subscriber who did not play counts as zero */
  LEFT JOIN completed_exits AS completed_exits
    ON month_subscriptions.user_id = completed_exits.user_id
  GROUP BY
    month_subscriptions.user_id,
    month_subscriptions.subscription_date,
    month_subscriptions.platform
)
SELECT
  subscription_weeks.platform::TEXT AS platform, /* Store that sold the subscription */
  @TWO_DECIMALS(AVG(subscription_weeks.completed_before))::DOUBLE AS avg_completed_before, /* Completed exits per subscription, days -7 to -1, two decimals */
  @TWO_DECIMALS(AVG(subscription_weeks.completed_after))::DOUBLE AS avg_completed_after, /* Completed exits per subscription, days +1 to +7, two decimals */
  COUNT(subscription_weeks.user_id)::BIGINT AS subscription_count /* Subscriptions of the month, additive */
FROM subscription_weeks AS subscription_weeks
GROUP BY
  subscription_weeks.platform
ORDER BY
  platform
