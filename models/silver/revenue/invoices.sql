MODEL (
  name silver.invoices,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = invoice_id)
  ), /* An invoice may change while it can be paid, refunded or voided */
  cron '@daily',
  owner revenue,
  description 'One row per invoice, as its newest record describes it.',
  grain invoice_id,
  tags (silver, revenue),
  audits (
    not_null(
      columns := (
        invoice_id,
        account_id,
        status,
        currency,
        is_billed,
        amount_due,
        amount_paid,
        amount_refunded,
        updated_at
      )
    ),
    grain_is_unique(key := invoice_id, columns := (
      invoice_id
    )),
    accepted_values("column" := status, is_in := ('draft', 'open', 'paid', 'void', 'uncollectible'))
  )
);

SELECT
  invoices.invoice_id::TEXT AS invoice_id, /* Identifier of the invoice */
  invoices.account_id::TEXT AS account_id, /* Customer, key of silver.accounts */
  invoices.subscription_id::TEXT AS subscription_id, /* Subscription that it bills; NULL for one-off invoices */
  invoices.number::TEXT AS invoice_number, /* Number printed on the invoice; NULL for drafts */
  invoices.status::TEXT AS status, /* draft, open, paid, void or uncollectible */
  invoices.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217 */
  (
    invoices.status IN ('open', 'paid', 'uncollectible')
  )::BOOLEAN AS is_billed, /* Whether it counts as revenue: neither draft nor void; a bad debt is an expense, not less revenue */
  invoices.amount_due::BIGINT AS amount_due, /* Sum of amounts and taxes, minor units */
  invoices.amount_paid::BIGINT AS amount_paid, /* Paid so far, minor units */
  invoices.amount_refunded::BIGINT AS amount_refunded, /* Refunded so far, tax included, minor units */
  CASE
    WHEN invoices.status IN ('open', 'paid', 'uncollectible')
    THEN COALESCE(invoices.issued_at, invoices.updated_at)
    ELSE invoices.issued_at
  END::TIMESTAMP AS issued_at, /* When it was issued, UTC; updated_at if a billed invoice does not report it; NULL for drafts */
  invoices.due_at::TIMESTAMP AS due_at, /* When payment is due, UTC */
  invoices.paid_at::TIMESTAMP AS paid_at, /* When it was paid in full, UTC; NULL until then */
  invoices.updated_at::TIMESTAMP AS updated_at, /* When this version was created, UTC */
  invoices._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  invoices._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  invoices._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.invoices AS invoices
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY invoices.invoice_id
    ORDER BY invoices.updated_at DESC, invoices._source_modified_at DESC, invoices._source_file DESC, invoices._source_line DESC
  ) = 1
