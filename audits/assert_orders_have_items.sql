AUDIT (
  name assert_orders_have_items,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'warning'),
  description 'No rows: every order has an item. An order without items has no sale, so its total is missing in net revenue.'
);

SELECT
  fct_orders.order_id AS order_id,
  fct_orders.currency AS currency,
  fct_orders.total_amount AS total_amount
FROM gold.fct_orders AS fct_orders
WHERE
  fct_orders.item_count = 0
