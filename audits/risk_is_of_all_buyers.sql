AUDIT (
  name risk_is_of_all_buyers
);

/* The customers of a month and pair of scores are those of gold.fct_customer_monthly */
WITH customer_months AS (
  SELECT
    fct_customer_monthly.month_date AS month_date,
    fct_customer_monthly.recency_score AS recency_score,
    fct_customer_monthly.frequency_score AS frequency_score,
    COUNT(*) AS customers
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  WHERE
    fct_customer_monthly.segment <> 'prospect'
  GROUP BY
    fct_customer_monthly.month_date,
    fct_customer_monthly.recency_score,
    fct_customer_monthly.frequency_score
)
SELECT
  COALESCE(risks.month_date, customer_months.month_date) AS month_date,
  risks.customers AS reported_customers,
  customer_months.customers AS customers
FROM @this_model AS risks
FULL JOIN customer_months AS customer_months
  ON risks.month_date = customer_months.month_date
  AND risks.recency_score = customer_months.recency_score
  AND risks.frequency_score = customer_months.frequency_score
WHERE
  COALESCE(risks.customers, 0) <> COALESCE(customer_months.customers, 0)
