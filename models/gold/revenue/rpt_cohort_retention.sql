MODEL (
  name gold.rpt_cohort_retention,
  kind FULL, /* Each new month adds a row to every cohort, and a late change may move a customer to another cohort */
  cron '@daily',
  owner revenue,
  description 'One row per cohort and complete month since its first paid month: how many of its customers and how much of their revenue are retained.',
  grain (cohort_month_date, month_number),
  tags (gold, revenue),
  audits (
    not_null(
      columns := (
        cohort_month_date,
        month_number,
        month_date,
        accounts,
        retained_accounts,
        opening_mrr,
        retained_mrr
      )
    ),
    unique_combination_of_columns(columns := (cohort_month_date, month_number)),
    forall(criteria := (retained_accounts BETWEEN 0 AND accounts, accounts > 0)),
    cohort_starts_whole
  )
);

WITH cohorts AS (
  SELECT
    fct_mrr_monthly.cohort_month_date AS cohort_month_date,
    COUNT(fct_mrr_monthly.account_id) AS accounts,
    SUM(fct_mrr_monthly.closing_mrr) AS opening_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  WHERE
    fct_mrr_monthly.month_date = fct_mrr_monthly.cohort_month_date
  GROUP BY
    fct_mrr_monthly.cohort_month_date
), retained AS (
  SELECT
    fct_mrr_monthly.cohort_month_date AS cohort_month_date,
    fct_mrr_monthly.month_date AS month_date,
    COUNT(CASE WHEN fct_mrr_monthly.closing_mrr > 0 THEN 1 END) AS accounts,
    SUM(fct_mrr_monthly.closing_mrr) AS mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  GROUP BY
    fct_mrr_monthly.cohort_month_date,
    fct_mrr_monthly.month_date
)
SELECT
  cohorts.cohort_month_date::DATE AS cohort_month_date, /* First day of the first month with a closing MRR above 0 */
  DATE_DIFF(
    'MONTH',
    DATE_TRUNC('MONTH', cohorts.cohort_month_date),
    DATE_TRUNC('MONTH', rpt_mrr_monthly.month_date)
  )::INT AS month_number, /* Months since the cohort month, which is month 0 */
  rpt_mrr_monthly.month_date::DATE AS month_date, /* First day of the reported month */
  cohorts.accounts::BIGINT AS accounts, /* Customers of the cohort, additive over cohorts, not over month_number */
  COALESCE(retained.accounts, 0)::BIGINT AS retained_accounts, /* Customers of the cohort with MRR at the end of the month, returned ones included, additive over cohorts, not over month_number */
  (
    COALESCE(retained.accounts, 0)::DOUBLE / NULLIF(cohorts.accounts, 0)::DOUBLE
  )::DOUBLE AS retained_share, /* retained_accounts / accounts, 0 to 1 */
  cohorts.opening_mrr::DECIMAL(18, 6) AS opening_mrr, /* Their MRR at the end of month 0, reporting currency, additive over cohorts, not over month_number */
  COALESCE(retained.mrr, 0)::DECIMAL(18, 6) AS retained_mrr, /* Their MRR at the end of the month, reporting currency, additive over cohorts, not over month_number */
  (
    COALESCE(retained.mrr, 0)::DOUBLE / NULLIF(cohorts.opening_mrr, 0)::DOUBLE
  )::DOUBLE AS revenue_retained /* retained_mrr / opening_mrr; may exceed 1 */
FROM cohorts AS cohorts
INNER JOIN gold.rpt_mrr_monthly AS rpt_mrr_monthly
  ON cohorts.cohort_month_date <= rpt_mrr_monthly.month_date
LEFT JOIN retained AS retained
  ON cohorts.cohort_month_date = retained.cohort_month_date
  AND rpt_mrr_monthly.month_date = retained.month_date
