MODEL (
  name gold.fct_mrr_monthly,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = account_id)
  ), /* A late change moves the balances and the cohort of its customer alone; a new month concerns all */
  cron '@daily',
  owner revenue,
  description 'One row per complete month and customer with recurring revenue at its beginning or end.',
  grain (month_date, account_id),
  tags (gold, revenue),
  depends_on (
    gold.fct_mrr_daily
  ), /* For the audit that compares them */
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
    grain_is_unique(key := account_id, columns := (month_date, account_id)),
    forall(criteria := (opening_mrr >= 0, opening_mrr_at_rate >= 0, closing_mrr >= 0)),
    closing_is_next_opening,
    balances_are_those_of_the_days
  )
);

WITH closings AS (
  /* From the periods, like gold.fct_mrr_daily, which an audit compares: a late change then concerns one customer only */
  SELECT
    dim_month.month_date AS month_date,
    subscriptions.account_id AS account_id,
    subscriptions.currency AS currency,
    SUM(subscriptions.mrr) AS mrr
  FROM gold.dim_month AS dim_month
  INNER JOIN silver.subscriptions AS subscriptions
    ON subscriptions.valid_from < dim_month.last_date + INTERVAL '1' DAY
    AND COALESCE(subscriptions.valid_to, '9999-12-31'::TIMESTAMP) >= dim_month.last_date + INTERVAL '1' DAY
  WHERE
    subscriptions.mrr > 0
  GROUP BY
    dim_month.month_date,
    subscriptions.account_id,
    subscriptions.currency
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
    dim_month.month_date AS month_date,
    closings.account_id AS account_id,
    closings.currency AS currency,
    closings.mrr AS opening_mrr,
    0::DECIMAL(18, 6) AS closing_mrr
  FROM closings AS closings
  INNER JOIN gold.dim_month AS dim_month
    ON (
      closings.month_date + INTERVAL '1' MONTH
    )::DATE = dim_month.month_date
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
