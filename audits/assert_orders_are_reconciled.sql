AUDIT (
  name assert_orders_are_reconciled,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'warning'),
  description 'No rows: the items of every order add up to its total. An order whose items have not arrived, or are in quarantine, has no sales until they do.'
);

SELECT
  fct_orders.order_id AS order_id,
  fct_orders.currency AS currency,
  fct_orders.total_amount AS total_amount
FROM gold.fct_orders AS fct_orders
WHERE
  NOT fct_orders.is_reconciled
