MODEL (
  name gold.q1_completion_rate,
  kind VIEW,
  cron '@daily',
  owner analytics,
  description 'One row per theme that was played, highest completion rate first: which themes do children finish?',
  grain theme,
  tags (gold, analytics),
  audits (
    not_null(columns := (theme, completion_rate_pct, completed_count, exit_count)),
    unique_values(columns := theme),
    accepted_range("column" := completion_rate_pct, min_v := 0, max_v := 100)
  )
);

WITH theme_exits AS (
  SELECT
    activities.theme AS theme,
    COUNT(CASE WHEN activity_events.completed THEN activity_events.event_id END) AS completed_count,
    COUNT(activity_events.event_id) AS exit_count
  FROM seeds.activity_events AS activity_events
  INNER JOIN seeds.activities AS activities
    ON activity_events.activity_id = activities.activity_id
  WHERE
    activity_events.event_type = 'activity_exit'
  GROUP BY
    activities.theme
)
SELECT
  theme_exits.theme::TEXT AS theme, /* Learning theme of the activity */
  @PERCENT_OF(theme_exits.completed_count, theme_exits.exit_count)::DOUBLE AS completion_rate_pct, /* Completed exits, percent of exits, two decimals */
  theme_exits.completed_count::BIGINT AS completed_count, /* Completed exits, additive */
  theme_exits.exit_count::BIGINT AS exit_count /* Exits, additive; an unknown flag counts as not completed */
FROM theme_exits AS theme_exits
ORDER BY
  completion_rate_pct DESC,
  theme
