MODEL (
  name ops.constraint_findings,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed, constraint, policy and UTC date with records that violate the constraint.',
  grain (feed, constraint_name, policy, date),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, constraint_name, policy, date, record_count)),
    unique_combination_of_columns(columns := (feed, constraint_name, policy, date))
  )
);

WITH violating AS (
  SELECT
    quarantine.feed AS feed,
    quarantine.constraint_name AS constraint_name,
    'quarantine' AS policy,
    quarantine.source_file AS source_file
  FROM operations.quarantine AS quarantine
  WHERE
    NOT quarantine.constraint_name IS NULL
  UNION ALL
  SELECT
    warnings.feed AS feed,
    warnings.constraint_name AS constraint_name,
    'warn' AS policy,
    warnings.source_file AS source_file
  FROM operations.warnings AS warnings
)
SELECT
  violating.feed::TEXT AS feed, /* Name of the feed and its contract */
  violating.constraint_name::TEXT AS constraint_name, /* Name of the constraint in the contract that judged the records */
  violating.policy::TEXT AS policy, /* Whether the records were rejected (quarantine) or loaded (warn) */
  object_versions.modified_at::DATE AS date, /* UTC date on which their objects were written */
  COUNT(violating.source_file)::BIGINT AS record_count /* Records that violate it; of rejected ones the first constraint that they violate counts, additive */
FROM violating AS violating
INNER JOIN ops.object_versions AS object_versions
  ON violating.feed = object_versions.feed
  AND violating.source_file = object_versions.source_file
GROUP BY
  violating.feed,
  violating.constraint_name,
  violating.policy,
  object_versions.modified_at::DATE
