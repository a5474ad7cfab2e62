MODEL (
  name gold.fct_invoices,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = invoice_id)
  ), /* Like silver.invoices: any invoice may still change */
  cron '@daily',
  owner revenue,
  description 'One row per invoice, with the sums of its lines.',
  grain invoice_id,
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        invoice_id,
        account_id,
        status,
        is_billed,
        currency,
        net_amount, /* NULL where seeds.currencies lacks the currency */
        tax_amount,
        refunded_net_amount
      )
    ),
    grain_is_unique(key := invoice_id, columns := (
      invoice_id
    )),
    forall_non_blocking(criteria := (
      net_amount + tax_amount = amount_due
    )), /* Amount due and lines both come from the producer; revenue reviews the warning of each run */
    forall_non_blocking(criteria := (
      amount_refunded = 0 OR amount_refunded <= amount_paid
    )) /* Likewise if more was refunded than paid */
  )
);

WITH line_sums AS (
  SELECT
    invoice_lines.invoice_id AS invoice_id,
    COUNT(invoice_lines.line_number) AS line_count,
    SUM(invoice_lines.amount)::BIGINT AS net,
    SUM(invoice_lines.tax)::BIGINT AS tax
  FROM silver.invoice_lines AS invoice_lines
  GROUP BY
    invoice_lines.invoice_id
), summed_invoices AS (
  SELECT
    invoices.invoice_id AS invoice_id,
    COALESCE(line_sums.line_count, 0) AS line_count,
    COALESCE(line_sums.net, 0) AS net,
    COALESCE(line_sums.tax, 0) AS tax,
    CASE
      WHEN COALESCE(line_sums.net, 0) + COALESCE(line_sums.tax, 0) > 0
      THEN @HALF_UP(
        invoices.amount_refunded * COALESCE(line_sums.net, 0),
        CASE
          WHEN line_sums.net + line_sums.tax > 0
          THEN line_sums.net + line_sums.tax
          ELSE 1
        END
      )
      ELSE invoices.amount_refunded
    END AS refunded_net
  FROM silver.invoices AS invoices
  LEFT JOIN line_sums AS line_sums
    ON invoices.invoice_id = line_sums.invoice_id
)
SELECT
  invoices.invoice_id::TEXT AS invoice_id, /* Identifier of the invoice */
  invoices.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  invoices.subscription_id::TEXT AS subscription_id, /* Subscription that it bills; NULL for one-off invoices */
  invoices.invoice_number::TEXT AS invoice_number, /* Number printed on the invoice; NULL for drafts */
  invoices.status::TEXT AS status, /* draft, open, paid, void or uncollectible */
  invoices.is_billed::BOOLEAN AS is_billed, /* Whether it counts as revenue: neither draft nor void */
  invoices.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217 */
  summed_invoices.line_count::BIGINT AS line_count, /* Number of lines, additive */
  @MAJOR_UNITS(summed_invoices.net, currencies.digits)::DECIMAL(18, 4) AS net_amount, /* Sum of the lines without tax, major units, additive per currency */
  @MAJOR_UNITS(summed_invoices.tax, currencies.digits)::DECIMAL(18, 4) AS tax_amount, /* Sum of the taxes of the lines, major units, additive per currency */
  @MAJOR_UNITS(invoices.amount_due, currencies.digits)::DECIMAL(18, 4) AS amount_due, /* Amount due, tax included, major units, additive per currency */
  @MAJOR_UNITS(invoices.amount_paid, currencies.digits)::DECIMAL(18, 4) AS amount_paid, /* Paid so far, tax included, major units, additive per currency */
  @MAJOR_UNITS(invoices.amount_refunded, currencies.digits)::DECIMAL(18, 4) AS amount_refunded, /* Refunded so far, tax included, major units, additive per currency */
  @MAJOR_UNITS(summed_invoices.refunded_net, currencies.digits)::DECIMAL(18, 4) AS refunded_net_amount, /* Refunded so far without tax, by the net share of the lines, major units, additive per currency */
  CASE
    WHEN invoices.status = 'open'
    THEN @MAJOR_UNITS(invoices.amount_due - invoices.amount_paid, currencies.digits)
    ELSE 0
  END::DECIMAL(18, 4) AS open_amount, /* Outstanding amount of an open invoice, tax included, major units, additive per currency; 0 for others */
  ROUND(
    @MAJOR_UNITS(summed_invoices.net, currencies.digits)::DECIMAL(19, 6) * exchange_rates.rate,
    6
  )::DECIMAL(18, 6) AS net_amount_reporting, /* net_amount in the reporting currency at the rate of the month of issue, additive; NULL for drafts */
  DATE_DIFF('DAY', invoices.issued_at::DATE, invoices.paid_at::DATE)::INT AS days_to_pay, /* Days from issue to payment; NULL until paid */
  (
    invoices.paid_at > invoices.due_at
  )::BOOLEAN AS is_paid_late, /* Whether it was paid after the due date; NULL until paid or without a due date */
  invoices.issued_at::DATE AS issued_date, /* UTC date of issue; NULL for drafts */
  invoices.issued_at::TIMESTAMP AS issued_at, /* When it was issued, UTC; NULL for drafts */
  invoices.due_at::TIMESTAMP AS due_at, /* When payment is due, UTC */
  invoices.paid_at::TIMESTAMP AS paid_at /* When it was paid in full, UTC; NULL until then */
FROM silver.invoices AS invoices
INNER JOIN summed_invoices AS summed_invoices
  ON invoices.invoice_id = summed_invoices.invoice_id
LEFT JOIN seeds.currencies AS currencies
  ON invoices.currency = currencies.currency
LEFT JOIN silver.exchange_rates AS exchange_rates
  ON invoices.currency = exchange_rates.currency
  AND invoices.issued_at >= exchange_rates.valid_from
  AND invoices.issued_at < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
