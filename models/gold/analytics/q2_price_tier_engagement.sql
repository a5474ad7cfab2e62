MODEL (
  name gold.q2_price_tier_engagement,
  kind VIEW,
  cron '@daily',
  owner analytics,
  description 'One row per price tier that was played: do paid activities keep children playing longer?',
  grain price_tier,
  tags (gold, analytics),
  audits (
    not_null(columns := (price_tier, session_count)),
    unique_values(columns := price_tier),
    forall(criteria := (
      session_count > 0
    ))
  )
);

SELECT
  activities.price_tier::TEXT AS price_tier, /* free, or premium for subscribers */
  COUNT(activity_events.event_id)::BIGINT AS session_count, /* Exits, additive */
  @TWO_DECIMALS(AVG(activity_events.duration_seconds))::DOUBLE AS avg_duration_seconds, /* Mean duration of the exits that have one, seconds, two decimals */
  SUM(activity_events.duration_seconds)::BIGINT AS total_duration_seconds /* Total duration of the exits, seconds, additive */
FROM seeds.activity_events AS activity_events
INNER JOIN seeds.activities AS activities
  ON activity_events.activity_id = activities.activity_id
WHERE
  activity_events.event_type = 'activity_exit'
GROUP BY
  activities.price_tier
ORDER BY
  price_tier
