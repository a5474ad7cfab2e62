MODEL (
  name gold.rpt_customer_cohorts,
  kind FULL, /* Each new month adds a row to every cohort, and a late change may move a customer to another cohort */
  cron '@daily',
  owner shop,
  description 'One row per cohort of acquired customers and complete month since: how many of them ordered, and what they brought.',
  grain (cohort_month_date, month_number),
  tags (gold, shop),
  depends_on (gold.fct_sales, silver.current_orders), /* For the audit that compares them */
  audits (
    not_null(
      columns := (
        cohort_month_date,
        month_number,
        month_date,
        customers,
        active_customers,
        orders,
        net_amount,
        costed_net_amount,
        profit_amount
      )
    ),
    unique_combination_of_columns(columns := (cohort_month_date, month_number)),
    forall(
      criteria := (customers > 0, month_number >= 0, active_customers BETWEEN 0 AND customers)
    ),
    cohorts_begin_with_acquisitions,
    cohorts_are_all_sales_of_acquired
  )
);

WITH cohorts AS (
  SELECT
    fct_acquisitions.cohort_month_date AS cohort_month_date,
    COUNT(*) AS customers
  FROM gold.fct_acquisitions AS fct_acquisitions
  GROUP BY
    fct_acquisitions.cohort_month_date
), sums AS (
  SELECT
    fct_cohort_sales_monthly.cohort_month_date AS cohort_month_date,
    fct_cohort_sales_monthly.month_date AS month_date,
    SUM(fct_cohort_sales_monthly.active_customers) AS active_customers,
    SUM(fct_cohort_sales_monthly.orders) AS orders,
    SUM(fct_cohort_sales_monthly.net_amount) AS net_amount,
    SUM(fct_cohort_sales_monthly.costed_net_amount) AS costed_net_amount,
    SUM(fct_cohort_sales_monthly.profit_amount) AS profit_amount
  FROM gold.fct_cohort_sales_monthly AS fct_cohort_sales_monthly
  GROUP BY
    fct_cohort_sales_monthly.cohort_month_date,
    fct_cohort_sales_monthly.month_date
)
SELECT
  cohorts.cohort_month_date::DATE AS cohort_month_date, /* First day of the month in which the customers were acquired */
  DATE_DIFF(
    'MONTH',
    DATE_TRUNC('MONTH', cohorts.cohort_month_date),
    DATE_TRUNC('MONTH', dim_business_month.month_date)
  )::INT AS month_number, /* Months since the cohort month, which is month 0 */
  dim_business_month.month_date::DATE AS month_date, /* First day of the reported month */
  cohorts.customers::BIGINT AS customers, /* Customers of the cohort, additive over cohorts, not over month_number */
  COALESCE(sums.active_customers, 0)::BIGINT AS active_customers, /* Of these, customers with an order placed in the month that counts at its end, additive over cohorts, not over month_number */
  (
    COALESCE(sums.active_customers, 0)::DOUBLE / NULLIF(cohorts.customers, 0)::DOUBLE
  )::DOUBLE AS active_share, /* active_customers / customers, 0 to 1 */
  COALESCE(sums.orders, 0)::BIGINT AS orders, /* Orders of the customers placed in the month that count at its end, additive */
  COALESCE(sums.net_amount, 0)::DECIMAL(18, 6) AS net_amount, /* Net revenue of the month's events of the customers, reporting currency, additive */
  COALESCE(sums.costed_net_amount, 0)::DECIMAL(18, 6) AS costed_net_amount, /* Net revenue of products whose cost is known, reporting currency, additive */
  COALESCE(sums.profit_amount, 0)::DECIMAL(18, 6) AS profit_amount /* Contribution margin of the month's events of the customers, reporting currency, additive */
FROM cohorts AS cohorts
INNER JOIN gold.dim_business_month AS dim_business_month
  ON cohorts.cohort_month_date <= dim_business_month.month_date
LEFT JOIN sums AS sums
  ON cohorts.cohort_month_date = sums.cohort_month_date
  AND dim_business_month.month_date = sums.month_date
