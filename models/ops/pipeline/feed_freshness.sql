MODEL (
  name ops.feed_freshness,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed: the age of its newest object, and whether it violates the contract.',
  grain feed,
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, freshness_seconds, is_late)),
    unique_values(columns := feed)
  )
);

WITH newest_objects AS (
  SELECT
    objects.feed AS feed,
    MAX(objects.modified_at) AS newest_object_at,
    COUNT(DISTINCT objects.source_file) AS object_count
  FROM operations.objects AS objects
  GROUP BY
    objects.feed
)
SELECT
  feeds.feed::TEXT AS feed, /* Name of the feed and its contract */
  feeds.owner::TEXT AS owner, /* Owner of the feed */
  COALESCE(newest_objects.object_count, 0)::BIGINT AS object_count, /* Source objects ever loaded */
  newest_objects.newest_object_at::TIMESTAMP AS newest_object_at, /* When its newest object was written, UTC; NULL before the first */
  feeds.freshness_seconds::BIGINT AS freshness_seconds, /* Maximum age by the contract, seconds */
  DATE_DIFF(
    'SECOND',
    DATE_TRUNC('SECOND', newest_objects.newest_object_at),
    DATE_TRUNC('SECOND', CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
  )::BIGINT AS age_seconds, /* Current age, seconds */
  COALESCE(
    DATE_DIFF(
      'SECOND',
      DATE_TRUNC('SECOND', COALESCE(newest_objects.newest_object_at, feeds.first_seen_at)),
      DATE_TRUNC('SECOND', CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
    ) > feeds.freshness_seconds,
    TRUE
  )::BOOLEAN AS is_late /* Whether the contract is violated; a feed without objects is late once known for longer than that */
FROM operations.feeds AS feeds
LEFT JOIN newest_objects AS newest_objects
  ON feeds.feed = newest_objects.feed
