MODEL (
  name ops.object_versions,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed and object: the newest version that was loaded, and what became of its records.',
  grain (feed, source_file),
  tags (ops, pipeline),
  audits (
    not_null(columns := (feed, source_file, load_id, modified_at, records, rows)),
    unique_combination_of_columns(columns := (feed, source_file))
  )
);

SELECT
  objects.feed::TEXT AS feed, /* Name of the feed and its contract */
  objects.source_file::TEXT AS source_file, /* Bucket and key of the object */
  objects.load_id::TEXT AS load_id, /* Ingest that loaded it; begins with its UTC time */
  objects.records::BIGINT AS records, /* Non-blank records, additive */
  objects.rows::BIGINT AS rows, /* Of those, rows of bronze, additive */
  objects.quarantined::BIGINT AS quarantined, /* Of those, rejected, additive */
  objects.dropped::BIGINT AS dropped, /* Of those, in a dropped version, additive */
  objects.erased::BIGINT AS erased, /* Of those, erased, additive */
  objects.skipped::BIGINT AS skipped, /* Of those, skipped, additive */
  objects.event_dates::STRUCT(event_date DATE, rows BIGINT)[] AS event_dates, /* Rows of bronze by the UTC date of the events; of an event feed */
  objects.modified_at::TIMESTAMP AS modified_at /* When the object was written, UTC */
FROM operations.objects AS objects
QUALIFY
  ROW_NUMBER() OVER (PARTITION BY objects.feed, objects.source_file ORDER BY objects.position DESC) = 1
