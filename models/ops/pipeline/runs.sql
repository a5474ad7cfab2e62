MODEL (
  name ops.runs,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per cycle of lake run or lake publish since the warehouse was made.',
  grain run_id,
  tags (ops, pipeline),
  audits (
    not_null(columns := (run_id, started_at, outcome)),
    unique_values(columns := run_id)
  )
);

SELECT
  runs.run_id::TEXT AS run_id, /* Identity of the cycle */
  runs.started_at::TIMESTAMP AS started_at, /* When it began, UTC */
  runs.outcome::TEXT AS outcome, /* published, unchanged, held, not published or failed */
  (
    runs.exit_code = 0
  )::BOOLEAN AS is_success, /* Whether it ended with exit code 0 */
  runs.state::BIGINT AS published_state, /* State that readers got after it; NULL before the first */
  runs.loads::BIGINT AS load_count, /* Loads that it committed */
  runs.rows::BIGINT AS row_count, /* Rows that it added to bronze */
  runs.computed_dates::BIGINT AS computed_date_count, /* Dates that it computed, summed over models */
  runs.seconds::DOUBLE AS duration_seconds, /* Wall time in seconds */
  runs.errors::TEXT AS errors /* What failed, a line each; empty for nothing */
FROM operations.runs AS runs
