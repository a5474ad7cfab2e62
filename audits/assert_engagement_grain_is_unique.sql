AUDIT (
  name assert_engagement_grain_is_unique,
  standalone TRUE,
  cron '@daily',
  owner engagement,
  defaults (scope = 'by_date'),
  description 'No rows: the eight group columns identify a row of the engagement metrics over all dates; NULL counts as a value.'
);

SELECT
  activity_engagement_metrics.date AS date,
  activity_engagement_metrics.country_code AS country_code,
  activity_engagement_metrics.os_name AS os_name,
  activity_engagement_metrics.os_version AS os_version,
  activity_engagement_metrics.app_version AS app_version,
  activity_engagement_metrics.subscription_status AS subscription_status,
  activity_engagement_metrics.activity_type AS activity_type,
  activity_engagement_metrics.collection_id AS collection_id,
  COUNT(*) AS row_count
FROM gold.activity_engagement_metrics AS activity_engagement_metrics
GROUP BY
  activity_engagement_metrics.date,
  activity_engagement_metrics.country_code,
  activity_engagement_metrics.os_name,
  activity_engagement_metrics.os_version,
  activity_engagement_metrics.app_version,
  activity_engagement_metrics.subscription_status,
  activity_engagement_metrics.activity_type,
  activity_engagement_metrics.collection_id
HAVING
  COUNT(*) > 1
