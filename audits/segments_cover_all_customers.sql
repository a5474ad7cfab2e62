AUDIT (
  name segments_cover_all_customers
);

/* The segments of a month are of all customers who exist at its end, and of their net revenue */
WITH existing_customers AS (
  SELECT
    dim_business_month.month_date AS month_date,
    COUNT(*) AS customers
  FROM silver.customers AS customers
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON @BUSINESS_TIME(customers.valid_from)::DATE <= dim_business_month.last_date
  WHERE
    NOT customers.is_deleted
    AND (
      customers.valid_to IS NULL
      OR @BUSINESS_TIME(customers.valid_to)::DATE > dim_business_month.last_date
    )
  GROUP BY
    dim_business_month.month_date
), customer_months AS (
  SELECT
    fct_customer_monthly.month_date AS month_date,
    SUM(fct_customer_monthly.monetary_amount) AS monetary_amount
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  GROUP BY
    fct_customer_monthly.month_date
), reported AS (
  SELECT
    moves.month_date AS month_date,
    SUM(moves.customers) AS customers,
    SUM(moves.monetary_amount) AS monetary_amount
  FROM @this_model AS moves
  GROUP BY
    moves.month_date
)
SELECT
  COALESCE(reported.month_date, existing_customers.month_date) AS month_date,
  reported.customers AS reported_customers,
  existing_customers.customers AS existing_customers,
  reported.monetary_amount AS reported_amount,
  customer_months.monetary_amount AS monetary_amount
FROM reported AS reported
FULL JOIN existing_customers AS existing_customers
  ON reported.month_date = existing_customers.month_date
LEFT JOIN customer_months AS customer_months
  ON reported.month_date = customer_months.month_date
WHERE
  COALESCE(reported.customers, 0) <> COALESCE(existing_customers.customers, 0)
  OR COALESCE(reported.monetary_amount, 0) <> COALESCE(customer_months.monetary_amount, 0)
