MODEL (
  name gold.q2_price_tier_engagement_feeds,
  kind VIEW,
  cron '@daily',
  owner analytics,
  description 'One row per tier of access with which activities were played: question 2 asked of the loaded feeds, where the status of the account stands for the price tier, which the catalogue lacks.',
  grain price_tier,
  tags (gold, analytics),
  audits (
    not_null(columns := (price_tier, session_count)),
    unique_values(columns := price_tier),
    accepted_values("column" := price_tier, is_in := ('free', 'premium')),
    forall(criteria := (
      session_count > 0
    ))
  )
);

WITH tier_plays AS (
  SELECT
    CASE
      WHEN fct_play_time_daily.subscription_status IN ('subscribed', 'trial')
      THEN 'premium'
      ELSE 'free'
    END AS price_tier,
    fct_play_time_daily.plays AS plays,
    fct_play_time_daily.timed_plays AS timed_plays,
    fct_play_time_daily.total_time_spent AS total_time_spent
  FROM gold.fct_play_time_daily AS fct_play_time_daily
)
SELECT
  tier_plays.price_tier::TEXT AS price_tier, /* premium for plays during a subscription or trial, otherwise free */
  SUM(tier_plays.plays)::BIGINT AS session_count, /* Exits, additive */
  @TWO_DECIMALS(
    SUM(tier_plays.total_time_spent) / NULLIF(SUM(tier_plays.timed_plays), 0)::DOUBLE
  )::DOUBLE AS avg_duration_seconds, /* Mean duration of the exits that have one, seconds, two decimals; NOT additive */
  ROUND(SUM(tier_plays.total_time_spent)::DECIMAL(28, 6))::BIGINT AS total_duration_seconds /* Total duration of the exits, whole seconds, additive */
FROM tier_plays AS tier_plays
GROUP BY
  tier_plays.price_tier
ORDER BY
  price_tier
