MODEL (
  name gold.rpt_orders_minutely,
  kind FULL, /* Any order may still change: one pass over gold.fct_orders whenever one did */
  cron '@daily',
  owner shop,
  description 'One row per minute in which orders were placed that exist, by UTC: what live numbers are compared with.',
  grain started_at,
  tags (gold, shop),
  audits (
    not_null(columns := (started_at, orders, net_amount, stated_net_amount)),
    unique_values(columns := started_at)
  )
);

WITH valued_orders AS (
  SELECT
    DATE_TRUNC('MINUTE', fct_orders.ordered_at)::TIMESTAMP AS started_at,
    fct_orders.net_amount_reporting AS net_amount,
    ROUND(
      (
        current_orders.total_amount - current_orders.tax_amount - current_orders.shipping_amount
      )::DECIMAL(19, 6) * rates.rate,
      6
    )::DECIMAL(18, 6) AS stated_net_amount
  FROM gold.fct_orders AS fct_orders
  INNER JOIN silver.current_orders AS current_orders
    ON fct_orders.order_id = current_orders.order_id
  LEFT JOIN silver.exchange_rates AS rates
    ON current_orders.currency = rates.currency
    AND current_orders.order_date >= rates.valid_from
    AND current_orders.order_date < COALESCE(rates.valid_to, '9999-12-31'::DATE)
)
SELECT
  valued_orders.started_at::TIMESTAMP AS started_at, /* Start of the minute, UTC */
  COUNT(*)::BIGINT AS orders, /* Orders placed in it that exist, cancelled ones included, additive */
  SUM(valued_orders.net_amount)::DECIMAL(18, 6) AS net_amount, /* Their net revenue as sold, reporting currency; of orders that wait for their items 0, additive */
  COALESCE(SUM(valued_orders.stated_net_amount), 0)::DECIMAL(18, 6) AS stated_net_amount /* What the orders state themselves, total less tax and shipping, reporting currency; of orders without an amount or a rate 0, additive */
FROM valued_orders AS valued_orders
GROUP BY
  valued_orders.started_at
