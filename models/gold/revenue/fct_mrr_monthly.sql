MODEL (
  name gold.fct_mrr_monthly,
  kind FULL, /* A month appears once its last day is computed, and changes with any of its days; there is no @monthly interval to wait for */
  cron '@daily',
  owner revenue,
  description 'One row per complete month and customer with recurring revenue at its beginning or end.',
  grain (month_date, account_id),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        month_date,
        account_id,
        opening_mrr,
        opening_mrr_at_rate, /* NULL where a currency has no rate */
        closing_mrr
      )
    ),
    unique_combination_of_columns(columns := (month_date, account_id)),
    forall(criteria := (opening_mrr >= 0, opening_mrr_at_rate >= 0, closing_mrr >= 0)),
    closing_is_next_opening,
    balances_are_those_of_the_days
  )
);

WITH complete_months AS (
  SELECT
    rpt_mrr_daily.date AS last_date,
    DATE_TRUNC('MONTH', rpt_mrr_daily.date)::DATE AS month_date
  FROM gold.rpt_mrr_daily AS rpt_mrr_daily
  WHERE
    EXTRACT(DAY FROM rpt_mrr_daily.date + INTERVAL '1' DAY) = 1
), closings AS (
  SELECT
    complete_months.month_date AS month_date,
    fct_mrr_daily.account_id AS account_id,
    fct_mrr_daily.currency AS currency,
    fct_mrr_daily.mrr AS mrr
  FROM complete_months AS complete_months
  INNER JOIN gold.fct_mrr_daily AS fct_mrr_daily
    ON complete_months.last_date = fct_mrr_daily.date
), balances AS (
  SELECT
    closings.month_date AS month_date,
    closings.account_id AS account_id,
    closings.currency AS currency,
    0::DECIMAL(18, 6) AS opening_mrr,
    closings.mrr AS closing_mrr
  FROM closings AS closings
  UNION ALL
  /* The closing balance of a month opens the next */
  SELECT
    complete_months.month_date AS month_date,
    closings.account_id AS account_id,
    closings.currency AS currency,
    closings.mrr AS opening_mrr,
    0::DECIMAL(18, 6) AS closing_mrr
  FROM closings AS closings
  INNER JOIN complete_months AS complete_months
    ON (
      closings.month_date + INTERVAL '1' MONTH
    )::DATE = complete_months.month_date
), valued_balances AS (
  SELECT
    balances.month_date AS month_date,
    balances.account_id AS account_id,
    COUNT(*) AS balance_count,
    COUNT(rates.rate) AS rate_count,
    SUM(ROUND(balances.opening_mrr::DECIMAL(19, 6) * earlier_rates.rate, 6)) AS opening_mrr,
    SUM(ROUND(balances.opening_mrr::DECIMAL(19, 6) * rates.rate, 6)) AS opening_mrr_at_rate,
    SUM(ROUND(balances.closing_mrr::DECIMAL(19, 6) * rates.rate, 6)) AS closing_mrr
  FROM balances AS balances
  LEFT JOIN silver.exchange_rates AS rates
    ON balances.currency = rates.currency
    AND balances.month_date >= rates.valid_from
    AND balances.month_date < COALESCE(rates.valid_to, '9999-12-31'::DATE)
  LEFT JOIN silver.exchange_rates AS earlier_rates
    ON balances.currency = earlier_rates.currency
    AND (
      balances.month_date - INTERVAL '1' MONTH
    )::DATE >= earlier_rates.valid_from
    AND (
      balances.month_date - INTERVAL '1' MONTH
    )::DATE < COALESCE(earlier_rates.valid_to, '9999-12-31'::DATE)
  GROUP BY
    balances.month_date,
    balances.account_id
)
SELECT
  valued_balances.month_date::DATE AS month_date, /* First day of the month */
  valued_balances.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  MIN(CASE WHEN valued_balances.closing_mrr > 0 THEN valued_balances.month_date END) OVER (PARTITION BY valued_balances.account_id)::DATE AS cohort_month_date, /* Cohort of the customer: first month with a closing MRR above 0 */
  COALESCE(valued_balances.opening_mrr, 0)::DECIMAL(18, 6) AS opening_mrr, /* MRR at the end of the month before, reporting currency at the rate of that month */
  CASE
    WHEN valued_balances.rate_count = valued_balances.balance_count
    THEN valued_balances.opening_mrr_at_rate
  END::DECIMAL(18, 6) AS opening_mrr_at_rate, /* opening_mrr at the rate of this month */
  CASE
    WHEN valued_balances.rate_count = valued_balances.balance_count
    THEN valued_balances.closing_mrr
  END::DECIMAL(18, 6) AS closing_mrr /* MRR at the end of the month, reporting currency at the rate of the month */
FROM valued_balances AS valued_balances
