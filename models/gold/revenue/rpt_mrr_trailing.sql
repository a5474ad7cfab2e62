MODEL (
  name gold.rpt_mrr_trailing,
  kind FULL, /* Like gold.rpt_mrr_monthly: any day may change the end of a month, which counts again a year later */
  cron '@daily',
  owner revenue,
  description 'One row per complete month whose month a year before closed with recurring revenue: how much of that revenue its customers pay now, at the rates of the month.',
  grain month_date,
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        month_date,
        base_accounts,
        retained_accounts,
        base_mrr, /* NULL where a currency has no rate */
        retained_mrr,
        capped_mrr,
        net_retention,
        gross_retention
      )
    ),
    unique_values(columns := month_date),
    forall(
      criteria := (
        base_accounts > 0,
        retained_accounts BETWEEN 0 AND base_accounts,
        capped_mrr BETWEEN 0 AND base_mrr,
        capped_mrr <= retained_mrr
      )
    )
  )
);

WITH year_pairs AS (
  SELECT
    dim_month.month_date AS month_date,
    earlier_months.last_date AS base_date
  FROM gold.dim_month AS dim_month
  INNER JOIN gold.dim_month AS earlier_months
    ON dim_month.month_date = (
      earlier_months.month_date + INTERVAL '12' MONTH
    )::DATE
), base_balances AS (
  SELECT
    year_pairs.month_date AS month_date,
    fct_mrr_daily.account_id AS account_id,
    COUNT(*) AS balance_count,
    COUNT(exchange_rates.rate) AS rate_count,
    SUM(ROUND(fct_mrr_daily.mrr::DECIMAL(19, 6) * exchange_rates.rate, 6)) AS mrr
  FROM year_pairs AS year_pairs
  INNER JOIN gold.fct_mrr_daily AS fct_mrr_daily
    ON year_pairs.base_date = fct_mrr_daily.date
  LEFT JOIN silver.exchange_rates AS exchange_rates
    ON fct_mrr_daily.currency = exchange_rates.currency
    AND year_pairs.month_date >= exchange_rates.valid_from
    AND year_pairs.month_date < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
  GROUP BY
    year_pairs.month_date,
    fct_mrr_daily.account_id
), retained_balances AS (
  SELECT
    base_balances.month_date AS month_date,
    base_balances.account_id AS account_id,
    CASE
      WHEN base_balances.rate_count = base_balances.balance_count
      THEN base_balances.mrr
    END AS base_mrr,
    COALESCE(fct_mrr_monthly.closing_mrr, 0) AS closing_mrr
  FROM base_balances AS base_balances
  LEFT JOIN gold.fct_mrr_monthly AS fct_mrr_monthly
    ON base_balances.month_date = fct_mrr_monthly.month_date
    AND base_balances.account_id = fct_mrr_monthly.account_id
), month_totals AS (
  SELECT
    retained_balances.month_date AS month_date,
    COUNT(retained_balances.account_id) AS base_accounts,
    COUNT(CASE WHEN retained_balances.closing_mrr > 0 THEN 1 END) AS retained_accounts,
    CASE
      WHEN COUNT(retained_balances.base_mrr) = COUNT(*)
      THEN SUM(retained_balances.base_mrr)
    END AS base_mrr,
    SUM(retained_balances.closing_mrr) AS retained_mrr,
    SUM(
      CASE
        WHEN retained_balances.closing_mrr > retained_balances.base_mrr
        THEN retained_balances.base_mrr
        ELSE retained_balances.closing_mrr
      END
    ) AS capped_mrr
  FROM retained_balances AS retained_balances
  GROUP BY
    retained_balances.month_date
)
SELECT
  month_totals.month_date::DATE AS month_date, /* First day of the month */
  month_totals.base_accounts::BIGINT AS base_accounts, /* Customers with MRR at the end of the month twelve months before; NOT additive over months */
  month_totals.retained_accounts::BIGINT AS retained_accounts, /* Of these, customers with MRR at the end of the month; NOT additive over months */
  month_totals.base_mrr::DECIMAL(18, 6) AS base_mrr, /* Their MRR twelve months before, reporting currency at the rate of this month; NOT additive over months */
  month_totals.retained_mrr::DECIMAL(18, 6) AS retained_mrr, /* Their MRR at the end of the month, reporting currency; NOT additive over months */
  month_totals.capped_mrr::DECIMAL(18, 6) AS capped_mrr, /* retained_mrr, of each customer at most its MRR then; NOT additive over months */
  (
    month_totals.retained_mrr::DOUBLE / NULLIF(month_totals.base_mrr, 0)::DOUBLE
  )::DOUBLE AS net_retention, /* NRR over twelve months: retained_mrr / base_mrr; may exceed 1; NOT additive */
  (
    month_totals.capped_mrr::DOUBLE / NULLIF(month_totals.base_mrr, 0)::DOUBLE
  )::DOUBLE AS gross_retention /* GRR over twelve months: capped_mrr / base_mrr, 0 to 1; NOT additive */
FROM month_totals AS month_totals
