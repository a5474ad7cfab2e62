AUDIT (
  name channels_are_all_acquisitions
);

/* The channels of a complete month add up to all customers acquired in it */
WITH reported AS (
  SELECT
    report.month_date AS month_date,
    SUM(report.customers) AS customers
  FROM @this_model AS report
  GROUP BY
    report.month_date
), acquisitions AS (
  SELECT
    DATE_TRUNC('MONTH', fct_acquisitions.business_date)::DATE AS month_date,
    COUNT(*) AS customers
  FROM gold.fct_acquisitions AS fct_acquisitions
  GROUP BY
    DATE_TRUNC('MONTH', fct_acquisitions.business_date)::DATE
)
SELECT
  dim_business_month.month_date AS month_date,
  reported.customers AS reported_customers,
  acquisitions.customers AS acquired_customers
FROM gold.dim_business_month AS dim_business_month
LEFT JOIN reported AS reported
  ON dim_business_month.month_date = reported.month_date
LEFT JOIN acquisitions AS acquisitions
  ON dim_business_month.month_date = acquisitions.month_date
WHERE
  COALESCE(reported.customers, 0) <> COALESCE(acquisitions.customers, 0)
