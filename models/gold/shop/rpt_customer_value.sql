MODEL (
  name gold.rpt_customer_value,
  kind FULL, /* Each new month may complete the first twelve of a cohort */
  cron '@daily',
  owner shop,
  description 'One row per cohort of a complete month and channel of acquisition: what its customers brought in their first twelve months.',
  grain (cohort_month_date, channel),
  tags (gold, shop),
  audits (
    not_null(columns := (cohort_month_date, channel, customers, is_valued)),
    not_null(columns := (margin_12_months, value_12_months), condition := is_valued),
    unique_combination_of_columns(columns := (cohort_month_date, channel)),
    forall(criteria := (
      customers > 0
    ))
  )
);

WITH cohorts AS (
  SELECT
    fct_acquisitions.cohort_month_date AS cohort_month_date,
    fct_acquisitions.channel AS channel,
    COUNT(*) AS customers
  FROM gold.fct_acquisitions AS fct_acquisitions
  GROUP BY
    fct_acquisitions.cohort_month_date,
    fct_acquisitions.channel
), first_year_sums AS (
  SELECT
    fct_cohort_sales_monthly.cohort_month_date AS cohort_month_date,
    fct_cohort_sales_monthly.channel AS channel,
    SUM(fct_cohort_sales_monthly.profit_amount) AS profit_amount
  FROM gold.fct_cohort_sales_monthly AS fct_cohort_sales_monthly
  WHERE
    fct_cohort_sales_monthly.month_number < 12
  GROUP BY
    fct_cohort_sales_monthly.cohort_month_date,
    fct_cohort_sales_monthly.channel
), valued_cohorts AS (
  SELECT
    cohorts.cohort_month_date AS cohort_month_date,
    cohorts.channel AS channel,
    cohorts.customers AS customers,
    (
      NOT last_months.month_date IS NULL
    ) AS is_valued,
    CASE
      WHEN NOT last_months.month_date IS NULL
      THEN COALESCE(first_year_sums.profit_amount, 0)
    END AS profit_amount
  FROM cohorts AS cohorts
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON cohorts.cohort_month_date = dim_business_month.month_date
  LEFT JOIN gold.dim_business_month AS last_months
    ON last_months.month_date = (
      cohorts.cohort_month_date + INTERVAL '11' MONTH
    )::DATE
  LEFT JOIN first_year_sums AS first_year_sums
    ON cohorts.cohort_month_date = first_year_sums.cohort_month_date
    AND cohorts.channel = first_year_sums.channel
)
SELECT
  valued_cohorts.cohort_month_date::DATE AS cohort_month_date, /* First day of the month in which the customers were acquired */
  valued_cohorts.channel::TEXT AS channel, /* Channel that acquired them, key of gold.dim_channel */
  valued_cohorts.customers::BIGINT AS customers, /* Customers acquired, additive */
  valued_cohorts.is_valued::BOOLEAN AS is_valued, /* Whether their first twelve months are complete */
  valued_cohorts.profit_amount::DECIMAL(18, 6) AS margin_12_months, /* Contribution margin of months 0 to 11, reporting currency, additive; NULL until month 11 is complete */
  (
    valued_cohorts.profit_amount::DOUBLE / NULLIF(valued_cohorts.customers, 0)::DOUBLE
  )::DOUBLE AS value_12_months /* margin_12_months / customers, reporting currency; NULL until month 11 is complete; NOT additive */
FROM valued_cohorts AS valued_cohorts
