AUDIT (
  name channels_are_all_spend
);

/* The channels of a complete month add up to the spend of its dates */
WITH reported AS (
  SELECT
    report.month_date AS month_date,
    SUM(report.spend_amount) AS spend_amount
  FROM @this_model AS report
  GROUP BY
    report.month_date
), spend AS (
  SELECT
    DATE_TRUNC('MONTH', fct_marketing_daily.date)::DATE AS month_date,
    SUM(fct_marketing_daily.spend_amount_reporting) AS spend_amount
  FROM gold.fct_marketing_daily AS fct_marketing_daily
  GROUP BY
    DATE_TRUNC('MONTH', fct_marketing_daily.date)::DATE
)
SELECT
  dim_business_month.month_date AS month_date,
  reported.spend_amount AS reported_amount,
  spend.spend_amount AS spend_amount
FROM gold.dim_business_month AS dim_business_month
LEFT JOIN reported AS reported
  ON dim_business_month.month_date = reported.month_date
LEFT JOIN spend AS spend
  ON dim_business_month.month_date = spend.month_date
WHERE
  COALESCE(reported.spend_amount, 0) <> COALESCE(spend.spend_amount, 0)
