MODEL (
  name silver.current_orders,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id, logged = (
        customer_id
    ))
  ), /* Like silver.orders: any order may still change */
  cron '@daily',
  owner shop,
  description 'One row per order that exists, as it is now, with the time of its cancellation, and whether its items add up to its total.',
  grain order_id,
  tags (silver, shop),
  audits (
    not_null(columns := (order_id, is_reconciled)),
    grain_is_unique(key := order_id, columns := (
      order_id
    ))
  )
);

WITH states AS (
  SELECT
    orders.order_id AS order_id,
    orders.valid_from AS valid_from,
    (
      COALESCE(orders.order_status, '') = 'cancelled' AND NOT orders.is_deleted
    ) AS is_cancelled
  FROM silver.orders AS orders
), last_other_states AS (
  SELECT
    states.order_id AS order_id,
    MAX(CASE WHEN NOT states.is_cancelled THEN states.valid_from END) AS valid_from
  FROM states AS states
  GROUP BY
    states.order_id
), cancellations AS (
  /* When the order became cancelled and stayed so */
  SELECT
    states.order_id AS order_id,
    MIN(states.valid_from) AS cancelled_at
  FROM states AS states
  INNER JOIN last_other_states AS last_other_states
    ON states.order_id = last_other_states.order_id
  WHERE
    last_other_states.valid_from IS NULL
    OR states.valid_from > last_other_states.valid_from
  GROUP BY
    states.order_id
), goods AS (
  /* Unknown where the quantity or the price of an item is: the others alone may add up to the total by chance */
  SELECT
    order_items.order_id AS order_id,
    CASE
      WHEN COUNT(order_items.quantity * order_items.unit_price) = COUNT(*)
      THEN SUM(order_items.quantity * order_items.unit_price)
    END::DECIMAL(18, 4) AS gross_amount
  FROM silver.order_items AS order_items
  WHERE
    order_items.is_current AND NOT order_items.is_deleted
  GROUP BY
    order_items.order_id
)
SELECT
  orders.order_id::BIGINT AS order_id, /* Identifier of the order */
  orders.customer_id::BIGINT AS customer_id, /* The customer, key of customers; absent for guests */
  orders.order_status::TEXT AS order_status, /* pending, paid, shipped, delivered or cancelled */
  orders.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217, upper case */
  orders.discount_amount::DECIMAL(12, 2) AS discount_amount, /* Discount on the whole order without tax, major units of the currency */
  orders.shipping_amount::DECIMAL(12, 2) AS shipping_amount, /* Shipping without tax, major units of the currency */
  orders.tax_amount::DECIMAL(12, 2) AS tax_amount, /* Tax on goods and shipping, major units of the currency */
  orders.total_amount::DECIMAL(12, 2) AS total_amount, /* What the customer pays: goods less discount, with shipping and tax, major units of the currency */
  COALESCE(
    goods.gross_amount - orders.discount_amount + orders.tax_amount + orders.shipping_amount = orders.total_amount,
    FALSE
  )::BOOLEAN AS is_reconciled, /* Whether its items, less the discount, with tax and shipping, are its total; until then it has no sales */
  @BUSINESS_TIME(orders.ordered_at)::DATE AS order_date, /* Business date on which the order was placed, by the clock of reporting_timezone */
  orders.ordered_at::TIMESTAMP AS ordered_at, /* When the order was placed, UTC */
  CASE
    WHEN NOT cancellations.cancelled_at IS NULL
    THEN GREATEST(cancellations.cancelled_at, orders.ordered_at)
  END::TIMESTAMP AS cancelled_at /* When the order became cancelled and stayed so, not before it was placed, UTC; NULL if it is not */
FROM silver.orders AS orders
LEFT JOIN cancellations AS cancellations
  ON orders.order_id = cancellations.order_id
LEFT JOIN goods AS goods
  ON orders.order_id = goods.order_id
WHERE
  orders.is_current AND NOT orders.is_deleted
