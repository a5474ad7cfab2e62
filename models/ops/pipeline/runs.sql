MODEL (
  name ops.runs,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per cycle of lake run or lake publish since the warehouse was created.',
  grain run_id,
  tags (ops, pipeline),
  audits (
    not_null(columns := (run_id, started_at, outcome)),
    unique_values(columns := run_id)
  )
);

SELECT
  runs.run_id::TEXT AS run_id, /* Identifier of the cycle */
  runs.started_at::TIMESTAMP AS started_at, /* When it began, UTC */
  runs.outcome::TEXT AS outcome, /* published, unchanged, held, not published, audited or failed */
  (
    runs.exit_code = 0
  )::BOOLEAN AS is_success, /* Whether it ended with exit code 0 */
  runs.state::BIGINT AS published_state, /* Release that readers saw after it; NULL before the first release */
  runs.loads::BIGINT AS load_count, /* Loads that the cycle committed */
  runs.rows::BIGINT AS row_count, /* Rows that the cycle added to bronze */
  runs.computed_dates::BIGINT AS computed_date_count, /* Dates that the cycle computed, summed over models */
  runs.seconds::DOUBLE AS duration_seconds, /* Wall time in seconds */
  runs.errors::TEXT AS errors /* Failures, one per line; empty if none */
FROM operations.runs AS runs
