AUDIT (
  name cohorts_are_all_sales_of_acquired
);

/* In every complete month the cohorts have the net revenue and margin of all events of acquired customers that lie in the month of their acquisition or later */
WITH reported AS (
  SELECT
    cohorts.month_date AS month_date,
    SUM(cohorts.net_amount) AS net_amount,
    SUM(cohorts.profit_amount) AS profit_amount
  FROM @this_model AS cohorts
  GROUP BY
    cohorts.month_date
), events AS (
  SELECT
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    SUM(fct_sales.net_amount_reporting) AS net_amount,
    COALESCE(SUM(fct_sales.profit_amount_reporting), 0) AS profit_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN silver.current_orders AS current_orders
    ON fct_sales.order_id = current_orders.order_id
  INNER JOIN gold.fct_acquisitions AS fct_acquisitions
    ON current_orders.customer_id = fct_acquisitions.customer_id
    AND fct_sales.business_date >= DATE_TRUNC('MONTH', fct_acquisitions.business_date)::DATE
  GROUP BY
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE
)
SELECT
  dim_business_month.month_date AS month_date,
  reported.net_amount AS reported_net_amount,
  events.net_amount AS net_amount,
  reported.profit_amount AS reported_profit_amount,
  events.profit_amount AS profit_amount
FROM gold.dim_business_month AS dim_business_month
LEFT JOIN reported AS reported
  ON dim_business_month.month_date = reported.month_date
LEFT JOIN events AS events
  ON dim_business_month.month_date = events.month_date
WHERE
  COALESCE(reported.net_amount, 0) <> COALESCE(events.net_amount, 0)
  OR COALESCE(reported.profit_amount, 0) <> COALESCE(events.profit_amount, 0)
