MODEL (
  name gold.rpt_mrr_monthly,
  kind FULL, /* Like gold.fct_mrr_movements, which it sums */
  cron '@daily',
  owner revenue,
  description 'One row per complete month since the first with recurring revenue: balances, movements and rates derived from them.',
  grain month_date,
  tags (gold, revenue),
  audits (
    not_null(columns := (month_date, accounts, opening_accounts, opening_mrr, closing_mrr)),
    unique_values(columns := month_date),
    report_is_the_sum_of_its_customers
  )
);

WITH month_balances AS (
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    COUNT(CASE WHEN fct_mrr_monthly.opening_mrr > 0 THEN 1 END) AS opening_accounts,
    COUNT(CASE WHEN fct_mrr_monthly.closing_mrr > 0 THEN 1 END) AS accounts,
    SUM(fct_mrr_monthly.opening_mrr) AS opening_mrr,
    SUM(fct_mrr_monthly.closing_mrr) AS closing_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  GROUP BY
    fct_mrr_monthly.month_date
), month_movements AS (
  SELECT
    fct_mrr_movements.month_date AS month_date,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'fx'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS fx_mrr,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'new'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS new_mrr,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'expansion'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS expansion_mrr,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'contraction'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS contraction_mrr,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'churn'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS churn_mrr,
    SUM(
      CASE
        WHEN fct_mrr_movements.movement_type = 'reactivation'
        THEN fct_mrr_movements.amount
        ELSE 0
      END
    ) AS reactivation_mrr,
    COUNT(CASE WHEN fct_mrr_movements.movement_type = 'new' THEN 1 END) AS new_accounts,
    COUNT(CASE WHEN fct_mrr_movements.movement_type = 'churn' THEN 1 END) AS churned_accounts,
    COUNT(CASE WHEN fct_mrr_movements.movement_type = 'reactivation' THEN 1 END) AS reactivated_accounts
  FROM gold.fct_mrr_movements AS fct_mrr_movements
  GROUP BY
    fct_mrr_movements.month_date
), told_months AS (
  /* After the first customer, a month without balances or movements is a row of zeros */
  SELECT
    dim_month.month_date AS month_date,
    COALESCE(month_balances.opening_accounts, 0) AS opening_accounts,
    COALESCE(month_balances.accounts, 0) AS accounts,
    COALESCE(month_movements.new_accounts, 0) AS new_accounts,
    COALESCE(month_movements.churned_accounts, 0) AS churned_accounts,
    COALESCE(month_movements.reactivated_accounts, 0) AS reactivated_accounts,
    COALESCE(month_balances.opening_mrr, 0) AS opening_mrr,
    COALESCE(month_movements.fx_mrr, 0) AS fx_mrr,
    COALESCE(month_movements.new_mrr, 0) AS new_mrr,
    COALESCE(month_movements.expansion_mrr, 0) AS expansion_mrr,
    COALESCE(month_movements.contraction_mrr, 0) AS contraction_mrr,
    COALESCE(month_movements.churn_mrr, 0) AS churn_mrr,
    COALESCE(month_movements.reactivation_mrr, 0) AS reactivation_mrr,
    COALESCE(month_balances.closing_mrr, 0) AS closing_mrr,
    COALESCE(month_balances.opening_mrr, 0) + COALESCE(month_movements.fx_mrr, 0) AS base_mrr
  FROM gold.dim_month AS dim_month
  INNER JOIN (
    SELECT
      MIN(month_balances.month_date) AS month_date
    FROM month_balances AS month_balances
  ) AS first_month
    ON dim_month.month_date >= first_month.month_date
  LEFT JOIN month_balances AS month_balances
    ON dim_month.month_date = month_balances.month_date
  LEFT JOIN month_movements AS month_movements
    ON dim_month.month_date = month_movements.month_date
)
SELECT
  told_months.month_date::DATE AS month_date, /* First day of the month */
  told_months.opening_accounts::BIGINT AS opening_accounts, /* Customers with MRR at the end of the month before */
  told_months.accounts::BIGINT AS accounts, /* Customers with MRR at the end of the month */
  told_months.new_accounts::BIGINT AS new_accounts, /* Customers that closed a month above 0 for the first time, additive */
  told_months.churned_accounts::BIGINT AS churned_accounts, /* Customers that lost all their MRR, additive */
  told_months.reactivated_accounts::BIGINT AS reactivated_accounts, /* Customers that returned, additive */
  told_months.opening_mrr::DECIMAL(18, 6) AS opening_mrr, /* Closing MRR of the month before, reporting currency */
  told_months.fx_mrr::DECIMAL(18, 6) AS fx_mrr, /* Effect of exchange rates on the opening MRR, reporting currency, additive */
  told_months.new_mrr::DECIMAL(18, 6) AS new_mrr, /* MRR of new customers, reporting currency, additive */
  told_months.expansion_mrr::DECIMAL(18, 6) AS expansion_mrr, /* MRR added by customers who stayed, reporting currency, additive */
  told_months.contraction_mrr::DECIMAL(18, 6) AS contraction_mrr, /* MRR lost from customers who stayed, reporting currency, additive, negative */
  told_months.churn_mrr::DECIMAL(18, 6) AS churn_mrr, /* MRR of customers who left, reporting currency, additive, negative */
  told_months.reactivation_mrr::DECIMAL(18, 6) AS reactivation_mrr, /* MRR of returned customers, reporting currency, additive */
  told_months.closing_mrr::DECIMAL(18, 6) AS closing_mrr, /* MRR at the end of the month, reporting currency */
  (
    told_months.closing_mrr::DOUBLE / NULLIF(told_months.accounts, 0)::DOUBLE
  )::DOUBLE AS arpa, /* Closing MRR per customer, reporting currency; NULL without customers */
  (
    told_months.churned_accounts::DOUBLE / NULLIF(told_months.opening_accounts, 0)::DOUBLE
  )::DOUBLE AS logo_churn_rate, /* Churned customers per opening customer; NULL without any */
  (
    (
      told_months.base_mrr + told_months.contraction_mrr + told_months.churn_mrr
    )::DOUBLE / NULLIF(told_months.base_mrr, 0)::DOUBLE
  )::DOUBLE AS gross_retention, /* Share of the opening MRR at this month's rate that was retained; NULL without an opening */
  (
    (
      told_months.base_mrr + told_months.expansion_mrr + told_months.contraction_mrr + told_months.churn_mrr
    )::DOUBLE / NULLIF(told_months.base_mrr, 0)::DOUBLE
  )::DOUBLE AS net_retention, /* Like gross_retention, with expansion included; may exceed 1 */
  (
    (
      told_months.new_mrr + told_months.reactivation_mrr + told_months.expansion_mrr
    )::DOUBLE / NULLIF(-(
      told_months.contraction_mrr + told_months.churn_mrr
    ), 0)::DOUBLE
  )::DOUBLE AS quick_ratio /* MRR gained per MRR lost; NULL if none was lost */
FROM told_months AS told_months
