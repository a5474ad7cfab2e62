AUDIT (
  name report_is_the_sum_of_its_customers
);

/* Balances and movements of the report are the sums over the customers, and opening + movements = closing */
WITH customers AS (
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    SUM(fct_mrr_monthly.opening_mrr) AS opening_mrr,
    SUM(fct_mrr_monthly.closing_mrr) AS closing_mrr
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  GROUP BY
    fct_mrr_monthly.month_date
), movements AS (
  SELECT
    fct_mrr_movements.month_date AS month_date,
    SUM(fct_mrr_movements.amount) AS amount
  FROM gold.fct_mrr_movements AS fct_mrr_movements
  GROUP BY
    fct_mrr_movements.month_date
), reports AS (
  SELECT
    months.month_date AS month_date,
    months.opening_mrr AS opening_mrr,
    months.fx_mrr + months.new_mrr + months.expansion_mrr + months.contraction_mrr + months.churn_mrr + months.reactivation_mrr AS amount,
    months.closing_mrr AS closing_mrr
  FROM @this_model AS months
)
SELECT
  COALESCE(reports.month_date, customers.month_date) AS month_date,
  reports.opening_mrr AS opening_mrr,
  customers.opening_mrr AS customers_opening_mrr,
  reports.amount AS movements,
  movements.amount AS customers_movements,
  reports.closing_mrr AS closing_mrr,
  customers.closing_mrr AS customers_closing_mrr
FROM reports AS reports
FULL JOIN customers AS customers
  ON reports.month_date = customers.month_date
LEFT JOIN movements AS movements
  ON reports.month_date = movements.month_date
WHERE
  COALESCE(reports.opening_mrr, 0) <> COALESCE(customers.opening_mrr, 0)
  OR COALESCE(reports.closing_mrr, 0) <> COALESCE(customers.closing_mrr, 0)
  OR COALESCE(reports.amount, 0) <> COALESCE(movements.amount, 0)
  OR reports.opening_mrr + reports.amount <> reports.closing_mrr
  OR (
    reports.month_date IS NULL AND NOT customers.month_date IS NULL
  )
