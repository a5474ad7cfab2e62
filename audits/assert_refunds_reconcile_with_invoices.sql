AUDIT (
  name assert_refunds_reconcile_with_invoices,
  standalone TRUE,
  cron '@daily',
  owner revenue,
  defaults (scope = 'all_dates'),
  description 'No rows: the refunds of an invoice add up to the refunded amount of its newest record.'
);

WITH refunds AS (
  SELECT
    invoice_refunds.invoice_id AS invoice_id,
    SUM(invoice_refunds.refund_amount) AS refund_amount
  FROM silver.invoice_refunds AS invoice_refunds
  GROUP BY
    invoice_refunds.invoice_id
)
SELECT
  COALESCE(invoices.invoice_id, refunds.invoice_id) AS invoice_id,
  invoices.amount_refunded AS amount_refunded,
  refunds.refund_amount AS refund_amount
FROM silver.invoices AS invoices
FULL JOIN refunds AS refunds
  ON invoices.invoice_id = refunds.invoice_id
WHERE
  COALESCE(invoices.amount_refunded, 0) <> COALESCE(refunds.refund_amount, 0)
