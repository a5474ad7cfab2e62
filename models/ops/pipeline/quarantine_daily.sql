MODEL (
  name ops.quarantine_daily,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed, day of loading and fault of rejected records.',
  grain (feed, ingest_date, reason, column_path),
  tags (ops, pipeline),
  audits (
    not_null(columns := (feed, ingest_date, reason, open_count)),
    unique_combination_of_columns(columns := (feed, ingest_date, reason, column_path))
  )
);

SELECT
  quarantine.feed::TEXT AS feed, /* Feed, as its contract is named */
  quarantine.ingested_at::DATE AS ingest_date, /* UTC date of the load */
  quarantine.reason::TEXT AS reason, /* What was wrong */
  quarantine.column_path::TEXT AS column_path, /* Column at fault, dotted; NULL when it is the record */
  COUNT(CASE WHEN NOT quarantine.is_discarded THEN quarantine.source_line END)::BIGINT AS open_count, /* Records that wait for a mended contract, additive */
  COUNT(CASE WHEN quarantine.is_discarded THEN quarantine.source_line END)::BIGINT AS discarded_count, /* Records that were given up, additive */
  COUNT(DISTINCT quarantine.source_file)::BIGINT AS object_count /* Objects that hold them; NOT additive */
FROM operations.quarantine AS quarantine
GROUP BY
  quarantine.feed,
  quarantine.ingested_at::DATE,
  quarantine.reason,
  quarantine.column_path
