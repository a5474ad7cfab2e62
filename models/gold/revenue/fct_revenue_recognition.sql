MODEL (
  name gold.fct_revenue_recognition,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = invoice_id)
  ), /* An invoice is spread over months before and after its issue, and voiding it reverses all of them */
  cron '@daily',
  owner revenue,
  description 'One row per line of a billed invoice and month of its service, and per invoice and month of its refunds: the revenue of the month, future months included.',
  grain (invoice_id, line_number, month_date),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        invoice_id,
        line_number,
        month_date,
        account_id,
        entry_type,
        currency,
        amount /* NULL where seeds.currencies lacks the currency */
      )
    ),
    grain_is_unique(key := invoice_id, columns := (invoice_id, line_number, month_date)),
    accepted_values(
      "column" := entry_type,
      is_in := ('recurring', 'proration', 'credit', 'one_off', 'refund')
    ),
    lines_are_recognised_exactly
  )
);

WITH dated_lines AS (
  /* A line with less than a day of service counts on the day of issue */
  SELECT
    invoice_lines.invoice_id AS invoice_id,
    invoice_lines.line_number AS line_number,
    invoice_lines.plan_id AS plan_id,
    CASE
      WHEN invoice_lines.is_proration
      THEN 'proration'
      WHEN invoice_lines.amount < 0
      THEN 'credit'
      WHEN invoice_lines.plan_id IS NULL
      THEN 'one_off'
      ELSE 'recurring'
    END AS entry_type,
    invoice_lines.amount AS amount,
    CASE
      WHEN invoice_lines.period_start_at::DATE < invoice_lines.period_end_at::DATE
      THEN invoice_lines.period_start_at::DATE
      ELSE invoices.issued_at::DATE
    END AS first_date,
    CASE
      WHEN invoice_lines.period_start_at::DATE < invoice_lines.period_end_at::DATE
      THEN invoice_lines.period_end_at::DATE
      ELSE (
        invoices.issued_at::DATE + INTERVAL '1' DAY
      )::DATE
    END AS end_date
  FROM silver.invoice_lines AS invoice_lines
  INNER JOIN silver.invoices AS invoices
    ON invoice_lines.invoice_id = invoices.invoice_id
  WHERE
    invoices.is_billed
), service_months AS (
  SELECT
    dated_lines.invoice_id AS invoice_id,
    dated_lines.line_number AS line_number,
    dated_lines.plan_id AS plan_id,
    dated_lines.entry_type AS entry_type,
    dated_lines.amount AS amount,
    dated_lines.first_date AS first_date,
    dated_lines.end_date AS end_date,
    UNNEST(
      GENERATE_SERIES(
        DATE_TRUNC('MONTH', dated_lines.first_date)::DATE,
        DATE_TRUNC('MONTH', dated_lines.end_date - INTERVAL '1' DAY)::DATE,
        INTERVAL '1' MONTH
      )
    ) AS month_start
  FROM dated_lines AS dated_lines
), counted_months AS (
  SELECT
    service_months.invoice_id AS invoice_id,
    service_months.line_number AS line_number,
    service_months.plan_id AS plan_id,
    service_months.entry_type AS entry_type,
    service_months.amount AS amount,
    service_months.month_start::DATE AS month_date,
    DATE_DIFF('DAY', service_months.first_date, service_months.end_date) AS all_days,
    DATE_DIFF(
      'DAY',
      service_months.first_date,
      GREATEST(service_months.first_date, service_months.month_start::DATE)
    ) AS earlier_days,
    DATE_DIFF(
      'DAY',
      service_months.first_date,
      LEAST(
        service_months.end_date,
        (
          service_months.month_start::DATE + INTERVAL '1' MONTH
        )::DATE
      )
    ) AS days_so_far
  FROM service_months AS service_months
), invoice_sums AS (
  SELECT
    invoice_lines.invoice_id AS invoice_id,
    SUM(invoice_lines.amount)::BIGINT AS net,
    SUM(invoice_lines.amount + invoice_lines.tax)::BIGINT AS gross
  FROM silver.invoice_lines AS invoice_lines
  GROUP BY
    invoice_lines.invoice_id
), net_refunds AS (
  /* Cumulative and without tax, so that rounded refunds add up to the rounded total */
  SELECT
    invoice_refunds.invoice_id AS invoice_id,
    invoice_refunds.refunded_at AS refunded_at,
    CASE
      WHEN invoice_sums.gross > 0
      THEN @HALF_UP(
        invoice_refunds.refunded_to_date * invoice_sums.net,
        CASE WHEN invoice_sums.gross > 0 THEN invoice_sums.gross ELSE 1 END
      )
      ELSE invoice_refunds.refunded_to_date
    END AS net_to_date
  FROM silver.invoice_refunds AS invoice_refunds
  LEFT JOIN invoice_sums AS invoice_sums
    ON invoice_refunds.invoice_id = invoice_sums.invoice_id
), dated_refunds AS (
  SELECT
    net_refunds.invoice_id AS invoice_id,
    DATE_TRUNC('MONTH', net_refunds.refunded_at)::DATE AS month_date,
    net_refunds.net_to_date - LAG(net_refunds.net_to_date, 1, 0) OVER (PARTITION BY net_refunds.invoice_id ORDER BY net_refunds.refunded_at) AS amount
  FROM net_refunds AS net_refunds
), entries AS (
  SELECT
    counted_months.invoice_id AS invoice_id,
    counted_months.line_number AS line_number,
    counted_months.month_date AS month_date,
    counted_months.plan_id AS plan_id,
    counted_months.entry_type AS entry_type,
    counted_months.days_so_far - counted_months.earlier_days AS service_days,
    @HALF_UP(counted_months.amount * counted_months.days_so_far, counted_months.all_days) - @HALF_UP(counted_months.amount * counted_months.earlier_days, counted_months.all_days) AS amount
  FROM counted_months AS counted_months
  UNION ALL
  SELECT
    dated_refunds.invoice_id AS invoice_id,
    0 AS line_number,
    dated_refunds.month_date AS month_date,
    NULL AS plan_id,
    'refund' AS entry_type,
    0 AS service_days,
    -SUM(dated_refunds.amount) AS amount
  FROM dated_refunds AS dated_refunds
  GROUP BY
    dated_refunds.invoice_id,
    dated_refunds.month_date
)
SELECT
  entries.invoice_id::TEXT AS invoice_id, /* Invoice, key of gold.fct_invoices */
  entries.line_number::BIGINT AS line_number, /* Number of the line on the invoice, counted from 1; 0 for refunds */
  entries.month_date::DATE AS month_date, /* First day of the month */
  invoices.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  invoices.subscription_id::TEXT AS subscription_id, /* Subscription that it bills; NULL for one-off invoices */
  entries.plan_id::TEXT AS plan_id, /* Plan, key of gold.dim_plan; NULL for one-off items and refunds */
  entries.entry_type::TEXT AS entry_type, /* recurring, proration, credit, one_off or refund */
  invoices.currency::TEXT AS currency, /* Currency of amount, ISO 4217 */
  entries.service_days::INT AS service_days, /* Days of service in the month; 0 for refunds */
  @MAJOR_UNITS(entries.amount::BIGINT, currencies.digits)::DECIMAL(18, 4) AS amount /* Revenue without tax, major units of the currency, additive; negative for credits and refunds */
FROM entries AS entries
INNER JOIN silver.invoices AS invoices
  ON entries.invoice_id = invoices.invoice_id
LEFT JOIN seeds.currencies AS currencies
  ON invoices.currency = currencies.currency
WHERE
  invoices.is_billed
