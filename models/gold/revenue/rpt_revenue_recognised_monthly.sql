MODEL (
  name gold.rpt_revenue_recognised_monthly,
  kind FULL, /* Like gold.fct_revenue_recognition, which it sums */
  cron '@daily',
  owner revenue,
  description 'One row per month and currency in which revenue is recognised or invoiced; future months show what is already invoiced for them.',
  grain (month_date, currency),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        month_date,
        currency,
        is_complete,
        recognised_amount,
        recognised_amount_reporting, /* NULL where the currency has no rate */
        invoiced_amount,
        deferred_amount
      )
    ),
    unique_combination_of_columns(columns := (month_date, currency)),
    forall(
      criteria := (
        recognised_amount = recurring_amount + proration_amount + credit_amount + one_off_amount + refund_amount
      )
    ),
    recognised_is_what_was_invoiced
  )
);

WITH amounts AS (
  SELECT
    fct_revenue_recognition.month_date AS month_date,
    fct_revenue_recognition.currency AS currency,
    fct_revenue_recognition.entry_type AS entry_type,
    fct_revenue_recognition.amount AS amount
  FROM gold.fct_revenue_recognition AS fct_revenue_recognition
  UNION ALL
  SELECT
    DATE_TRUNC('MONTH', fct_invoices.issued_date)::DATE AS month_date,
    fct_invoices.currency AS currency,
    'invoiced' AS entry_type,
    fct_invoices.net_amount AS amount
  FROM gold.fct_invoices AS fct_invoices
  WHERE
    fct_invoices.is_billed
), month_amounts AS (
  SELECT
    amounts.month_date AS month_date,
    amounts.currency AS currency,
    SUM(CASE WHEN amounts.entry_type = 'recurring' THEN amounts.amount ELSE 0 END) AS recurring_amount,
    SUM(CASE WHEN amounts.entry_type = 'proration' THEN amounts.amount ELSE 0 END) AS proration_amount,
    SUM(CASE WHEN amounts.entry_type = 'credit' THEN amounts.amount ELSE 0 END) AS credit_amount,
    SUM(CASE WHEN amounts.entry_type = 'one_off' THEN amounts.amount ELSE 0 END) AS one_off_amount,
    SUM(CASE WHEN amounts.entry_type = 'refund' THEN amounts.amount ELSE 0 END) AS refund_amount,
    SUM(CASE WHEN amounts.entry_type = 'invoiced' THEN 0 ELSE amounts.amount END) AS recognised_amount,
    SUM(CASE WHEN amounts.entry_type = 'invoiced' THEN amounts.amount ELSE 0 END) AS invoiced_amount
  FROM amounts AS amounts
  GROUP BY
    amounts.month_date,
    amounts.currency
)
SELECT
  month_amounts.month_date::DATE AS month_date, /* First day of the month */
  month_amounts.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217 */
  (
    NOT dim_month.month_date IS NULL
  )::BOOLEAN AS is_complete, /* Whether the last day of the month is computed; later months still grow */
  month_amounts.recurring_amount::DECIMAL(18, 4) AS recurring_amount, /* Revenue of plans for the service of the month, without tax, major units, additive per currency */
  month_amounts.proration_amount::DECIMAL(18, 4) AS proration_amount, /* Like recurring_amount, for lines that prorate a change within a period; may be negative */
  month_amounts.credit_amount::DECIMAL(18, 4) AS credit_amount, /* Like recurring_amount, for other negative lines; negative */
  month_amounts.one_off_amount::DECIMAL(18, 4) AS one_off_amount, /* Like recurring_amount, for lines without a plan */
  month_amounts.refund_amount::DECIMAL(18, 4) AS refund_amount, /* Refunded in the month, without tax, negative, additive per currency */
  month_amounts.recognised_amount::DECIMAL(18, 4) AS recognised_amount, /* Revenue of the month: the sum of the five amounts, additive per currency */
  ROUND(month_amounts.recognised_amount::DECIMAL(19, 6) * exchange_rates.rate, 6)::DECIMAL(18, 6) AS recognised_amount_reporting, /* recognised_amount in the reporting currency at the rate of the month, additive */
  month_amounts.invoiced_amount::DECIMAL(18, 4) AS invoiced_amount, /* Invoices issued in the month, without tax, additive per currency */
  SUM(
    month_amounts.invoiced_amount - month_amounts.recognised_amount + month_amounts.refund_amount
  ) OVER (
    PARTITION BY month_amounts.currency
    ORDER BY month_amounts.month_date
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )::DECIMAL(18, 4) AS deferred_amount /* Invoiced up to the end of the month for service after it; negative for service not yet invoiced */
FROM month_amounts AS month_amounts
LEFT JOIN gold.dim_month AS dim_month
  ON month_amounts.month_date = dim_month.month_date
LEFT JOIN silver.exchange_rates AS exchange_rates
  ON month_amounts.currency = exchange_rates.currency
  AND month_amounts.month_date >= exchange_rates.valid_from
  AND month_amounts.month_date < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
