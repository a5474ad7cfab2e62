MODEL (
  name gold.fct_cohort_sales_monthly,
  kind FULL, /* A customer may move to another cohort or channel with the whole history: joins every sale once to its order and customer */
  cron '@daily',
  owner shop,
  description 'One row per cohort, channel of acquisition and month since with orders or sales of its customers, complete or not.',
  grain (cohort_month_date, channel, month_date),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        cohort_month_date,
        channel,
        month_date,
        active_customers,
        orders,
        net_amount,
        costed_net_amount,
        profit_amount
      )
    ),
    unique_combination_of_columns(columns := (cohort_month_date, channel, month_date)),
    forall(
      criteria := (month_date >= cohort_month_date, active_customers BETWEEN 0 AND orders)
    )
  )
);

WITH orders AS (
  SELECT
    current_orders.order_id AS order_id,
    fct_acquisitions.customer_id AS customer_id,
    fct_acquisitions.cohort_month_date AS cohort_month_date,
    fct_acquisitions.channel AS channel,
    DATE_TRUNC('MONTH', current_orders.order_date)::DATE AS month_date,
    (
      current_orders.cancelled_at IS NULL
      OR DATE_TRUNC('MONTH', @BUSINESS_TIME(current_orders.cancelled_at))::DATE > DATE_TRUNC('MONTH', current_orders.order_date)::DATE
    ) AS is_counted
  FROM silver.current_orders AS current_orders
  INNER JOIN gold.fct_acquisitions AS fct_acquisitions
    ON current_orders.customer_id = fct_acquisitions.customer_id
), order_sums AS (
  SELECT
    orders.cohort_month_date AS cohort_month_date,
    orders.channel AS channel,
    orders.month_date AS month_date,
    COUNT(DISTINCT orders.customer_id) AS active_customers,
    COUNT(*) AS orders
  FROM orders AS orders
  WHERE
    orders.is_counted AND orders.month_date >= orders.cohort_month_date
  GROUP BY
    orders.cohort_month_date,
    orders.channel,
    orders.month_date
), sales AS (
  SELECT
    orders.cohort_month_date AS cohort_month_date,
    orders.channel AS channel,
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    fct_sales.net_amount_reporting AS net_amount,
    fct_sales.profit_amount_reporting AS profit_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN orders AS orders
    ON fct_sales.order_id = orders.order_id
), sale_sums AS (
  SELECT
    sales.cohort_month_date AS cohort_month_date,
    sales.channel AS channel,
    sales.month_date AS month_date,
    SUM(sales.net_amount) AS net_amount,
    SUM(CASE WHEN NOT sales.profit_amount IS NULL THEN sales.net_amount END) AS costed_net_amount,
    SUM(sales.profit_amount) AS profit_amount
  FROM sales AS sales
  WHERE
    sales.month_date >= sales.cohort_month_date
  GROUP BY
    sales.cohort_month_date,
    sales.channel,
    sales.month_date
)
SELECT
  COALESCE(order_sums.cohort_month_date, sale_sums.cohort_month_date)::DATE AS cohort_month_date, /* First day of the month in which the customers were acquired */
  COALESCE(order_sums.channel, sale_sums.channel)::TEXT AS channel, /* Channel that acquired them, key of gold.dim_channel */
  COALESCE(order_sums.month_date, sale_sums.month_date)::DATE AS month_date, /* First day of the month, the cohort month or a later one */
  DATE_DIFF(
    'MONTH',
    DATE_TRUNC('MONTH', COALESCE(order_sums.cohort_month_date, sale_sums.cohort_month_date)),
    DATE_TRUNC('MONTH', COALESCE(order_sums.month_date, sale_sums.month_date))
  )::INT AS month_number, /* Months since the cohort month, which is month 0 */
  COALESCE(order_sums.active_customers, 0)::BIGINT AS active_customers, /* Customers with an order placed in the month that counts at its end, additive over cohorts and channels, not over months */
  COALESCE(order_sums.orders, 0)::BIGINT AS orders, /* These orders, additive */
  COALESCE(sale_sums.net_amount, 0)::DECIMAL(18, 6) AS net_amount, /* Net revenue of the month's events, reporting currency, additive */
  COALESCE(sale_sums.costed_net_amount, 0)::DECIMAL(18, 6) AS costed_net_amount, /* Net revenue of products whose cost is known, reporting currency, additive */
  COALESCE(sale_sums.profit_amount, 0)::DECIMAL(18, 6) AS profit_amount /* Contribution margin: profit on products whose cost is known, reporting currency, additive */
FROM order_sums AS order_sums
FULL JOIN sale_sums AS sale_sums
  ON order_sums.cohort_month_date = sale_sums.cohort_month_date
  AND order_sums.channel = sale_sums.channel
  AND order_sums.month_date = sale_sums.month_date
