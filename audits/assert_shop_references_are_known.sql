AUDIT (
  name assert_shop_references_are_known,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'warning'),
  description 'No rows: every customer and product of an order has a version at the time of the order. Sales count without them, under the unknown member; a version that arrives later gives them their key.'
);

SELECT
  'customer' AS kind,
  fct_orders.order_id AS order_id,
  COUNT(*) AS row_count
FROM gold.fct_orders AS fct_orders
WHERE
  fct_orders.customer_key = '-1' AND NOT fct_orders.is_guest
GROUP BY
  fct_orders.order_id
UNION ALL
SELECT
  'product' AS kind,
  fct_sales.order_id AS order_id,
  COUNT(*) AS row_count
FROM gold.fct_sales AS fct_sales
WHERE
  fct_sales.product_key = '-1' AND fct_sales.event_type = 'sale'
GROUP BY
  fct_sales.order_id
