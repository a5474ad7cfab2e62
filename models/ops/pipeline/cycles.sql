MODEL (
  name ops.cycles,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per cycle like ops.runs, without the texts of its errors, which may name objects: what readers of releases may see.',
  grain run_id,
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (run_id, started_at, outcome, is_success)),
    unique_values(columns := run_id)
  )
);

SELECT
  runs.run_id::TEXT AS run_id, /* Identifier of the cycle */
  runs.started_at::TIMESTAMP AS started_at, /* When it began, UTC */
  runs.outcome::TEXT AS outcome, /* published, unchanged, held, not published, audited or failed */
  runs.is_success::BOOLEAN AS is_success, /* Whether it ended with exit code 0 */
  runs.published_state::BIGINT AS published_state, /* Release that readers saw after it; NULL before the first release */
  runs.load_count::BIGINT AS load_count, /* Loads that the cycle committed, additive */
  runs.row_count::BIGINT AS row_count, /* Rows that the cycle added to bronze, additive */
  runs.computed_date_count::BIGINT AS computed_date_count, /* Dates that the cycle computed, summed over models, additive */
  runs.duration_seconds::DOUBLE AS duration_seconds /* Wall time in seconds, additive */
FROM ops.runs AS runs
