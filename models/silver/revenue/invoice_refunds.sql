MODEL (
  name silver.invoice_refunds,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = invoice_id)
  ), /* A late version changes the time of a refund */
  cron '@daily',
  owner revenue,
  description 'One row per version of an invoice that changed the refunded amount, which dates each refund.',
  grain (invoice_id, refunded_at),
  tags (silver, revenue),
  audits (
    not_null(columns := (invoice_id, refunded_at, refund_amount, refunded_to_date)),
    grain_is_unique(key := invoice_id, columns := (invoice_id, refunded_at))
  )
);

WITH distinct_versions AS (
  /* Versions with the same updated_at count once, by the rule of silver.invoices */
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
  refunds.invoice_id::TEXT AS invoice_id, /* Invoice, key of silver.invoices */
  refunds.refunded_at::TIMESTAMP AS refunded_at, /* When the version that reports it was created, UTC */
  (
    refunds.refunded_to_date - refunds.refunded_before
  )::BIGINT AS refund_amount, /* Refunded amount, tax included, minor units; negative if an earlier refund was reversed */
  refunds.refunded_to_date::BIGINT AS refunded_to_date /* Total refunded to date, tax included, minor units */
FROM refunds AS refunds
WHERE
  refunds.refunded_to_date <> refunds.refunded_before
