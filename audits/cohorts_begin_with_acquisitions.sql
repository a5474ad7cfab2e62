AUDIT (
  name cohorts_begin_with_acquisitions
);

/* Month 0 of a cohort has as many customers as were acquired in the month, and every complete month with acquisitions is a cohort */
WITH acquisitions AS (
  SELECT
    dim_business_month.month_date AS month_date,
    COUNT(*) AS customers
  FROM gold.fct_acquisitions AS fct_acquisitions
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON DATE_TRUNC('MONTH', fct_acquisitions.business_date)::DATE = dim_business_month.month_date
  GROUP BY
    dim_business_month.month_date
), cohorts AS (
  SELECT
    cohorts.month_date AS month_date,
    cohorts.customers AS customers
  FROM @this_model AS cohorts
  WHERE
    cohorts.month_number = 0
)
SELECT
  COALESCE(acquisitions.month_date, cohorts.month_date) AS month_date,
  acquisitions.customers AS acquired_customers,
  cohorts.customers AS cohort_customers
FROM acquisitions AS acquisitions
FULL JOIN cohorts AS cohorts
  ON acquisitions.month_date = cohorts.month_date
WHERE
  acquisitions.month_date IS NULL
  OR cohorts.month_date IS NULL
  OR acquisitions.customers <> cohorts.customers
