MODEL (
  name ops.object_dates,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per event feed, object and event date: the rows of bronze from the newest version of the object.',
  grain (feed, source_file, event_date),
  tags (ops, pipeline),
  audits (
    not_null(columns := (feed, source_file, event_date, load_id, modified_at, row_count)),
    unique_combination_of_columns(columns := (feed, source_file, event_date))
  )
);

WITH dated_rows AS (
  SELECT
    object_versions.feed AS feed,
    object_versions.source_file AS source_file,
    object_versions.load_id AS load_id,
    object_versions.modified_at AS modified_at,
    UNNEST(object_versions.event_dates) AS dated
  FROM ops.object_versions AS object_versions
)
SELECT
  dated_rows.feed::TEXT AS feed, /* Name of the feed and its contract */
  dated_rows.source_file::TEXT AS source_file, /* Bucket and key of the object */
  dated_rows.dated.event_date::DATE AS event_date, /* UTC date of the events */
  dated_rows.load_id::TEXT AS load_id, /* Ingest that loaded the object; begins with its UTC time */
  dated_rows.modified_at::TIMESTAMP AS modified_at, /* When the object was written, UTC */
  dated_rows.dated.rows::BIGINT AS row_count /* Rows of bronze */
FROM dated_rows AS dated_rows
