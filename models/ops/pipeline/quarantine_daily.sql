MODEL (
  name ops.quarantine_daily,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed, load date, reason and column of rejected records.',
  grain (feed, ingest_date, reason, column_path),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, ingest_date, reason, open_count)),
    unique_combination_of_columns(columns := (feed, ingest_date, reason, column_path))
  )
);

SELECT
  quarantine.feed::TEXT AS feed, /* Name of the feed and its contract */
  quarantine.ingested_at::DATE AS ingest_date, /* UTC date of the load */
  quarantine.reason::TEXT AS reason, /* Reason, such as wrong_type */
  quarantine.column_path::TEXT AS column_path, /* Column at fault, dotted; NULL if it is the record */
  COUNT(CASE WHEN NOT quarantine.is_discarded THEN quarantine.source_line END)::BIGINT AS open_count, /* Open records, which await a fixed contract, additive */
  COUNT(CASE WHEN quarantine.is_discarded THEN quarantine.source_line END)::BIGINT AS discarded_count, /* Discarded records, additive */
  COUNT(DISTINCT quarantine.source_file)::BIGINT AS object_count /* Objects that contain them; NOT additive */
FROM operations.quarantine AS quarantine
GROUP BY
  quarantine.feed,
  quarantine.ingested_at::DATE,
  quarantine.reason,
  quarantine.column_path
