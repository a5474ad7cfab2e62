MODEL (
  name ops.loads,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per load that committed objects.',
  grain (feed, load_id),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, load_id, started_at, object_count, record_count)),
    unique_combination_of_columns(columns := (feed, load_id)),
    forall(
      criteria := (
        record_count = row_count + quarantined_count + dropped_count + erased_count + skipped_count
      )
    )
  )
);

SELECT
  objects.feed::TEXT AS feed, /* Name of the feed and its contract */
  objects.load_id::TEXT AS load_id, /* Identifier of the load, column _load_id of bronze */
  STRPTIME(REPLACE(LEFT(objects.load_id, 15), 'T', ''), '%Y%m%d%H%M%S')::TIMESTAMP AS started_at, /* When the load began, UTC */
  COUNT(DISTINCT objects.source_file)::BIGINT AS object_count, /* Source objects */
  SUM(objects.size)::BIGINT AS byte_count, /* Stored size of the objects in bytes */
  SUM(objects.records)::BIGINT AS record_count, /* Non-blank records in the objects */
  SUM(objects.rows)::BIGINT AS row_count, /* Records that became rows of bronze */
  SUM(objects.quarantined)::BIGINT AS quarantined_count, /* Quarantined records */
  SUM(objects.dropped)::BIGINT AS dropped_count, /* Records of objects that were dropped from the lake */
  SUM(objects.erased)::BIGINT AS erased_count, /* Records that were erased to forget a person */
  SUM(objects.skipped)::BIGINT AS skipped_count, /* Records that are not rows by kind, such as tombstones */
  MIN(objects.modified_at)::TIMESTAMP AS oldest_object_at, /* When the oldest object was written, UTC */
  MAX(objects.modified_at)::TIMESTAMP AS newest_object_at /* When the newest object was written, UTC */
FROM (
  SELECT
    versions.feed,
    versions.load_id,
    versions.source_file,
    versions.size,
    versions.records,
    versions.rows,
    versions.quarantined,
    versions.dropped,
    versions.erased,
    versions.skipped,
    versions.modified_at
  FROM operations.objects AS versions
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY versions.feed, versions.load_id, versions.source_file
      ORDER BY versions.position DESC
    ) = 1
) AS objects
GROUP BY
  objects.feed,
  objects.load_id
