MODEL (
  name ops.object_dates,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per event feed, object and event date: the rows of bronze from the newest version of the object.',
  grain (feed, source_file, event_date),
  tags (ops, pipeline),
  audits (
    not_null(columns := (feed, source_file, event_date, modified_at, row_count)),
    unique_combination_of_columns(columns := (feed, source_file, event_date))
  )
);

WITH current_versions AS (
  SELECT
    objects.feed AS feed,
    objects.source_file AS source_file,
    objects.modified_at AS modified_at,
    objects.event_dates AS event_dates
  FROM operations.objects AS objects
  QUALIFY
    ROW_NUMBER() OVER (PARTITION BY objects.feed, objects.source_file ORDER BY objects.position DESC) = 1
), dated_rows AS (
  SELECT
    current_versions.feed AS feed,
    current_versions.source_file AS source_file,
    current_versions.modified_at AS modified_at,
    UNNEST(current_versions.event_dates) AS dated
  FROM current_versions AS current_versions
)
SELECT
  dated_rows.feed::TEXT AS feed, /* Name of the feed and its contract */
  dated_rows.source_file::TEXT AS source_file, /* Bucket and key of the object */
  dated_rows.dated.event_date::DATE AS event_date, /* UTC date of the events */
  dated_rows.modified_at::TIMESTAMP AS modified_at, /* When the object was written, UTC */
  dated_rows.dated.rows::BIGINT AS row_count /* Rows of bronze */
FROM dated_rows AS dated_rows
