MODEL (
  name gold.fct_invoices,
  kind FULL, /* As silver.invoices: any of them may still change */
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
    unique_values(columns := invoice_id),
    forall_non_blocking(criteria := (
      net_amount + tax_amount = amount_due
    )), /* What an invoice asks for and what its lines say are the producer's; revenue reads the warning of each run */
    forall_non_blocking(criteria := (
      amount_refunded = 0 OR amount_refunded <= amount_paid
    )) /* Likewise more paid back than paid */
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
  invoices.invoice_id::TEXT AS invoice_id, /* Identity of the invoice */
  invoices.account_id::TEXT AS account_id, /* The customer, key of gold.dim_account */
  invoices.subscription_id::TEXT AS subscription_id, /* The subscription that it bills; NULL for one-off invoices */
  invoices.invoice_number::TEXT AS invoice_number, /* Number printed on it; NULL for drafts */
  invoices.status::TEXT AS status, /* draft, open, paid, void or uncollectible */
  invoices.is_billed::BOOLEAN AS is_billed, /* Whether it counts as revenue: neither draft nor void */
  invoices.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217 */
  summed_invoices.line_count::BIGINT AS line_count, /* Lines on it, additive */
  @MAJOR_UNITS(summed_invoices.net, currencies.digits)::DECIMAL(18, 4) AS net_amount, /* Sum of its lines without tax, major units, additive within a currency */
  @MAJOR_UNITS(summed_invoices.tax, currencies.digits)::DECIMAL(18, 4) AS tax_amount, /* Sum of their taxes, likewise */
  @MAJOR_UNITS(invoices.amount_due, currencies.digits)::DECIMAL(18, 4) AS amount_due, /* What it asks for, tax included, likewise */
  @MAJOR_UNITS(invoices.amount_paid, currencies.digits)::DECIMAL(18, 4) AS amount_paid, /* Paid so far, tax included, likewise */
  @MAJOR_UNITS(invoices.amount_refunded, currencies.digits)::DECIMAL(18, 4) AS amount_refunded, /* Paid back so far, tax included, likewise */
  @MAJOR_UNITS(summed_invoices.refunded_net, currencies.digits)::DECIMAL(18, 4) AS refunded_net_amount, /* The part of it that is not tax, by the net share of the lines, likewise */
  CASE
    WHEN invoices.status = 'open'
    THEN @MAJOR_UNITS(invoices.amount_due - invoices.amount_paid, currencies.digits)
    ELSE 0
  END::DECIMAL(18, 4) AS open_amount, /* What is still to be paid of an open one, tax included, likewise */
  ROUND(
    @MAJOR_UNITS(summed_invoices.net, currencies.digits)::DECIMAL(19, 6) * exchange_rates.rate,
    6
  )::DECIMAL(18, 6) AS net_amount_reporting, /* net_amount in the reporting currency at the rate of the month of issue, additive; NULL for drafts */
  DATE_DIFF('DAY', invoices.issued_at::DATE, invoices.paid_at::DATE)::INT AS days_to_pay, /* Days from issue to payment; NULL until paid */
  (
    invoices.paid_at > invoices.due_at
  )::BOOLEAN AS is_paid_late, /* Whether it was paid after it was due; NULL until paid or without a term */
  invoices.issued_at::DATE AS issued_date, /* UTC date of issue; NULL for drafts */
  invoices.issued_at::TIMESTAMP AS issued_at, /* When it was issued, UTC; NULL for drafts */
  invoices.due_at::TIMESTAMP AS due_at, /* When it is to be paid, UTC */
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
