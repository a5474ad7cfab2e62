MODEL (
  name silver.invoice_refunds,
  kind FULL, /* A late version moves a refund to its own time */
  cron '@daily',
  owner revenue,
  description 'One row per version of an invoice that changed what was paid back, so that a refund has a time.',
  grain (invoice_id, refunded_at),
  tags (silver, revenue),
  audits (
    not_null(columns := (invoice_id, refunded_at, refund_amount, refunded_to_date)),
    unique_combination_of_columns(columns := (invoice_id, refunded_at))
  )
);

WITH distinct_versions AS (
  /* Versions of the same moment are one, by the rule of silver.invoices */
  SELECT
    invoices.invoice_id AS invoice_id,
    invoices.updated_at AS updated_at,
    invoices.amount_refunded AS amount_refunded
  FROM bronze.invoices AS invoices
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY invoices.invoice_id, invoices.updated_at
      ORDER BY invoices._source_modified_at DESC, invoices._source_file DESC, invoices._source_line DESC
    ) = 1
), refunds AS (
  SELECT
    distinct_versions.invoice_id AS invoice_id,
    distinct_versions.updated_at AS refunded_at,
    distinct_versions.amount_refunded AS refunded_to_date,
    LAG(distinct_versions.amount_refunded, 1, 0) OVER (PARTITION BY distinct_versions.invoice_id ORDER BY distinct_versions.updated_at) AS refunded_before
  FROM distinct_versions AS distinct_versions
)
SELECT
  refunds.invoice_id::TEXT AS invoice_id, /* The invoice, key of silver.invoices */
  refunds.refunded_at::TIMESTAMP AS refunded_at, /* When the version came to be that tells it, UTC */
  (
    refunds.refunded_to_date - refunds.refunded_before
  )::BIGINT AS refund_amount, /* Paid back, tax included, minor units; negative where an earlier one was taken back */
  refunds.refunded_to_date::BIGINT AS refunded_to_date /* Paid back in all up to here, tax included, minor units */
FROM refunds AS refunds
WHERE
  refunds.refunded_to_date <> refunds.refunded_before
