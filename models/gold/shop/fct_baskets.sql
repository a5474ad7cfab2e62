MODEL (
  name gold.fct_baskets,
  kind FULL, /* A late version of a product makes it known in any order: a join of all sales, small beside their computation */
  cron '@daily',
  owner shop,
  description 'One row per order with sales and known product in it: what was bought together.',
  grain (order_id, product_id),
  tags (gold, shop),
  audits (
    not_null(columns := (order_id, product_id, month_date)),
    unique_combination_of_columns(columns := (order_id, product_id))
  )
);

SELECT DISTINCT
  fct_sales.order_id::BIGINT AS order_id, /* The order, key of gold.fct_orders */
  dim_product.product_id::BIGINT AS product_id, /* The product, in any of its versions */
  DATE_TRUNC('MONTH', current_orders.order_date)::DATE AS month_date, /* First day of the month in which the order was placed */
  DATE_TRUNC('MONTH', @BUSINESS_TIME(current_orders.cancelled_at))::DATE AS cancelled_month_date /* First day of the month in which it was cancelled: at the ends of months before that, it counts; NULL if it is not */
FROM gold.fct_sales AS fct_sales
INNER JOIN silver.current_orders AS current_orders
  ON fct_sales.order_id = current_orders.order_id
INNER JOIN gold.dim_product AS dim_product
  ON fct_sales.product_key = dim_product.product_key
WHERE
  fct_sales.event_type = 'sale' AND fct_sales.product_key <> '-1'
