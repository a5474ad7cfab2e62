MODEL (
  name ops.audit_results,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per standalone audit of a cycle.',
  grain (run_id, audit_name),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (run_id, audit_name, row_count)),
    unique_combination_of_columns(columns := (run_id, audit_name))
  )
);

SELECT
  audits.run_id::TEXT AS run_id, /* Cycle, key of ops.runs */
  audits.audit::TEXT AS audit_name, /* Name of the audit */
  audits.scope::TEXT AS scope, /* changed dates, all dates or computed dates */
  audits.rows::BIGINT AS row_count, /* Offending rows; 0 when it passed */
  audits.is_blocking::BOOLEAN AS is_blocking, /* Whether it blocked the release */
  runs.started_at::TIMESTAMP AS started_at /* When the cycle began, UTC */
FROM operations.audits AS audits
INNER JOIN operations.runs AS runs
  ON audits.run_id = runs.run_id
