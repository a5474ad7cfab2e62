MODEL (
  name ops.quality_findings,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed, UTC date of the last 60 days, object, reason and column of rejected records; the 20 largest of a feed and date.',
  grain (feed, date, source_file, reason, column_path),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, date, source_file, reason, record_count, first_line)),
    unique_combination_of_columns(columns := (feed, date, source_file, reason, column_path))
  )
);

WITH findings AS (
  SELECT
    quarantine.feed AS feed,
    object_versions.modified_at::DATE AS date,
    quarantine.source_file AS source_file,
    quarantine.reason AS reason,
    quarantine.column_path AS column_path,
    COUNT(quarantine.source_file) AS record_count,
    COALESCE(MIN(quarantine.source_line), 0) AS first_line
  FROM operations.quarantine AS quarantine
  INNER JOIN ops.object_versions AS object_versions
    ON quarantine.feed = object_versions.feed
    AND quarantine.source_file = object_versions.source_file
  WHERE
    object_versions.modified_at >= (
      CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
    )::DATE - INTERVAL '60' DAY
  GROUP BY
    quarantine.feed,
    object_versions.modified_at::DATE,
    quarantine.source_file,
    quarantine.reason,
    quarantine.column_path
), ranked AS (
  SELECT
    findings.feed AS feed,
    findings.date AS date,
    findings.source_file AS source_file,
    findings.reason AS reason,
    findings.column_path AS column_path,
    findings.record_count AS record_count,
    findings.first_line AS first_line,
    ROW_NUMBER() OVER (
      PARTITION BY findings.feed, findings.date
      ORDER BY findings.record_count DESC, findings.source_file, findings.reason, COALESCE(findings.column_path, '')
    ) AS place
  FROM findings AS findings
)
SELECT
  ranked.feed::TEXT AS feed, /* Name of the feed and its contract */
  ranked.date::DATE AS date, /* UTC date on which the object was written */
  ranked.source_file::TEXT AS source_file, /* Bucket and key of the object */
  ranked.reason::TEXT AS reason, /* Reason, such as wrong_type */
  ranked.column_path::TEXT AS column_path, /* Column at fault, dotted; NULL if it is the record */
  ranked.record_count::BIGINT AS record_count, /* Rejected records, open and discarded */
  ranked.first_line::BIGINT AS first_line /* Line of the first of them, counted from 1; 0 if it is the whole object */
FROM ranked AS ranked
WHERE
  ranked.place <= 20
