MODEL (
  name silver.first_orders,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id, logged = (
        order_id
    ))
  ), /* An earlier order of a customer may arrive later, or the first one disappear */
  cron '@daily',
  owner shop,
  description 'One row per customer with an order: the first of those that exist.',
  grain customer_id,
  tags (silver, shop),
  audits (
    not_null(columns := (customer_id, order_id)),
    grain_is_unique(key := customer_id, columns := (
      customer_id
    ))
  )
);

SELECT
  current_orders.customer_id::BIGINT AS customer_id, /* The customer, key of customers */
  current_orders.order_id::BIGINT AS order_id, /* First order of the customer by time, then identifier */
  current_orders.ordered_at::TIMESTAMP AS ordered_at /* When it was placed, UTC */
FROM silver.current_orders AS current_orders
WHERE
  NOT current_orders.customer_id IS NULL
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY current_orders.customer_id
    ORDER BY current_orders.ordered_at, current_orders.order_id
  ) = 1
