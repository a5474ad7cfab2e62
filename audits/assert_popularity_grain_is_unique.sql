AUDIT (
  name assert_popularity_grain_is_unique,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'by_date'),
  description 'No rows: date and activity identify a row of the daily popularity over all dates; NULL counts as a value.'
);

SELECT
  activity_popularity_daily.date AS date,
  activity_popularity_daily.activity_id AS activity_id,
  COUNT(*) AS row_count
FROM gold.activity_popularity_daily AS activity_popularity_daily
GROUP BY
  activity_popularity_daily.date,
  activity_popularity_daily.activity_id
HAVING
  COUNT(*) > 1
