MODEL (
  name silver.customer_order_changes,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id, logged = (
        customer_id
    ))
  ), /* Any version of an order, its items or refunds may arrive late, and moves the changes of its order alone */
  cron '@daily',
  owner shop,
  description 'One row per order, basis and moment at which what the order is to a customer changed, by how much: a second row for the customer who lost the order. Without orders of guests.',
  grain (order_id, customer_id, basis, changed_at),
  tags (silver, shop),
  audits (
    not_null(
      columns := (
        order_id,
        customer_id,
        basis,
        changed_at,
        order_count,
        cancelled_order_count,
        refund_count,
        gross_amount,
        net_amount,
        refunded_amount
      )
    ),
    accepted_values("column" := basis, is_in := ('changed', 'known')),
    grain_is_unique(key := order_id, columns := (order_id, customer_id, basis, changed_at))
  )
);

WITH bases AS (
  SELECT
    'changed' AS basis
  UNION ALL
  SELECT
    'known' AS basis
), order_moments AS (
  SELECT
    orders.order_id AS order_id,
    bases.basis AS basis,
    orders.valid_from AS valid_from,
    CASE WHEN bases.basis = 'known' THEN orders.known_at ELSE orders.changed_at END AS from_at,
    orders.customer_id AS customer_id,
    orders.ordered_at AS ordered_at,
    orders.is_deleted AS is_deleted,
    (
      COALESCE(orders.order_status, '') = 'cancelled'
    ) AS is_cancelled,
    orders.discount_amount AS discount_amount,
    (
      orders.total_amount - orders.tax_amount - orders.shipping_amount + orders.discount_amount
    )::DECIMAL(18, 4) AS expected_amount,
    exchange_rates.rate AS rate
  FROM silver.orders AS orders
  LEFT JOIN silver.exchange_rates AS exchange_rates
    ON orders.currency = exchange_rates.currency
    AND @BUSINESS_TIME(orders.ordered_at)::DATE >= exchange_rates.valid_from
    AND @BUSINESS_TIME(orders.ordered_at)::DATE < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
  CROSS JOIN bases AS bases
), order_versions AS (
  SELECT
    order_moments.order_id AS order_id,
    order_moments.basis AS basis,
    order_moments.from_at AS from_at,
    LEAD(order_moments.from_at) OVER (
      PARTITION BY order_moments.order_id, order_moments.basis
      ORDER BY order_moments.valid_from
    ) AS to_at,
    order_moments.customer_id AS customer_id,
    order_moments.ordered_at AS ordered_at,
    order_moments.is_deleted AS is_deleted,
    order_moments.is_cancelled AS is_cancelled,
    order_moments.discount_amount AS discount_amount,
    order_moments.expected_amount AS expected_amount,
    order_moments.rate AS rate
  FROM order_moments AS order_moments
), item_moments AS (
  SELECT
    order_items.order_id AS order_id,
    order_items.line_number AS line_number,
    bases.basis AS basis,
    order_items.valid_from AS valid_from,
    CASE
      WHEN bases.basis = 'known'
      THEN order_items.known_at
      ELSE order_items.changed_at
    END AS from_at,
    order_items.is_deleted AS is_deleted,
    (
      order_items.quantity * order_items.unit_price
    )::DECIMAL(18, 4) AS gross_amount
  FROM silver.order_items AS order_items
  CROSS JOIN bases AS bases
), item_versions AS (
  SELECT
    item_moments.order_id AS order_id,
    item_moments.basis AS basis,
    item_moments.from_at AS from_at,
    LEAD(item_moments.from_at) OVER (
      PARTITION BY item_moments.order_id, item_moments.line_number, item_moments.basis
      ORDER BY item_moments.valid_from
    ) AS to_at,
    item_moments.is_deleted AS is_deleted,
    item_moments.gross_amount AS gross_amount
  FROM item_moments AS item_moments
), refund_moments AS (
  SELECT
    refunds.refund_id AS refund_id,
    refunds.order_id AS order_id,
    bases.basis AS basis,
    refunds.valid_from AS valid_from,
    CASE WHEN bases.basis = 'known' THEN refunds.known_at ELSE refunds.changed_at END AS from_at,
    refunds.is_deleted AS is_deleted,
    refunds.amount AS amount
  FROM silver.refunds AS refunds
  CROSS JOIN bases AS bases
), refund_versions AS (
  SELECT
    refund_moments.order_id AS order_id,
    refund_moments.basis AS basis,
    refund_moments.from_at AS from_at,
    LEAD(refund_moments.from_at) OVER (
      PARTITION BY refund_moments.order_id, refund_moments.refund_id, refund_moments.basis
      ORDER BY refund_moments.valid_from
    ) AS to_at,
    refund_moments.is_deleted AS is_deleted,
    refund_moments.amount AS amount
  FROM refund_moments AS refund_moments
), moments AS (
  SELECT
    order_versions.order_id AS order_id,
    order_versions.basis AS basis,
    order_versions.from_at AS changed_at
  FROM order_versions AS order_versions
  UNION
  SELECT
    item_versions.order_id AS order_id,
    item_versions.basis AS basis,
    item_versions.from_at AS changed_at
  FROM item_versions AS item_versions
  UNION
  SELECT
    refund_versions.order_id AS order_id,
    refund_versions.basis AS basis,
    refund_versions.from_at AS changed_at
  FROM refund_versions AS refund_versions
), goods AS (
  /* Unknown where the quantity or the price of an item is, as in silver.current_orders */
  SELECT
    moments.order_id AS order_id,
    moments.basis AS basis,
    moments.changed_at AS changed_at,
    CASE
      WHEN COUNT(item_versions.gross_amount) = COUNT(*)
      THEN SUM(item_versions.gross_amount)
    END::DECIMAL(18, 4) AS gross_amount
  FROM moments AS moments
  INNER JOIN item_versions AS item_versions
    ON moments.order_id = item_versions.order_id
    AND moments.basis = item_versions.basis
    AND moments.changed_at >= item_versions.from_at
    AND moments.changed_at < COALESCE(item_versions.to_at, '9999-12-31'::TIMESTAMP)
  WHERE
    NOT item_versions.is_deleted
  GROUP BY
    moments.order_id,
    moments.basis,
    moments.changed_at
), payments_back AS (
  SELECT
    moments.order_id AS order_id,
    moments.basis AS basis,
    moments.changed_at AS changed_at,
    COUNT(*) AS refund_count,
    SUM(refund_versions.amount)::DECIMAL(18, 4) AS refunded_amount
  FROM moments AS moments
  INNER JOIN refund_versions AS refund_versions
    ON moments.order_id = refund_versions.order_id
    AND moments.basis = refund_versions.basis
    AND moments.changed_at >= refund_versions.from_at
    AND moments.changed_at < COALESCE(refund_versions.to_at, '9999-12-31'::TIMESTAMP)
  WHERE
    NOT refund_versions.is_deleted
  GROUP BY
    moments.order_id,
    moments.basis,
    moments.changed_at
), valued_orders AS (
  SELECT
    moments.order_id AS order_id,
    moments.basis AS basis,
    moments.changed_at AS changed_at,
    order_versions.customer_id AS customer_id,
    order_versions.ordered_at AS ordered_at,
    order_versions.is_deleted AS is_deleted,
    order_versions.is_cancelled AS is_cancelled,
    COALESCE(payments_back.refund_count, 0) AS refund_count,
    ROUND(goods.gross_amount::DECIMAL(19, 6) * order_versions.rate, 6)::DECIMAL(18, 6) AS gross_amount,
    ROUND(
      (
        goods.gross_amount - order_versions.discount_amount
      )::DECIMAL(19, 6) * order_versions.rate,
      6
    )::DECIMAL(18, 6) AS net_amount,
    ROUND(
      COALESCE(payments_back.refunded_amount, 0)::DECIMAL(19, 6) * order_versions.rate,
      6
    )::DECIMAL(18, 6) AS refunded_amount,
    (
      goods.gross_amount = order_versions.expected_amount
      AND NOT order_versions.rate IS NULL
    ) AS is_reconciled
  FROM moments AS moments
  INNER JOIN order_versions AS order_versions
    ON moments.order_id = order_versions.order_id
    AND moments.basis = order_versions.basis
    AND moments.changed_at >= order_versions.from_at
    AND moments.changed_at < COALESCE(order_versions.to_at, '9999-12-31'::TIMESTAMP)
  LEFT JOIN goods AS goods
    ON moments.order_id = goods.order_id
    AND moments.basis = goods.basis
    AND moments.changed_at = goods.changed_at
  LEFT JOIN payments_back AS payments_back
    ON moments.order_id = payments_back.order_id
    AND moments.basis = payments_back.basis
    AND moments.changed_at = payments_back.changed_at
), states AS (
  SELECT
    valued_orders.order_id AS order_id,
    valued_orders.basis AS basis,
    valued_orders.changed_at AS changed_at,
    valued_orders.customer_id AS customer_id,
    CASE WHEN NOT valued_orders.is_deleted THEN valued_orders.ordered_at END AS ordered_at,
    CASE WHEN valued_orders.is_deleted THEN 0 ELSE 1 END AS order_count,
    CASE
      WHEN valued_orders.is_cancelled AND NOT valued_orders.is_deleted
      THEN 1
      ELSE 0
    END AS cancelled_order_count,
    CASE WHEN valued_orders.is_deleted THEN 0 ELSE valued_orders.refund_count END AS refund_count,
    CASE
      WHEN valued_orders.is_reconciled AND NOT valued_orders.is_deleted
      THEN valued_orders.gross_amount
      ELSE 0
    END::DECIMAL(18, 6) AS gross_amount,
    CASE
      WHEN valued_orders.is_reconciled
      AND NOT valued_orders.is_deleted
      AND NOT valued_orders.is_cancelled
      THEN valued_orders.net_amount - valued_orders.refunded_amount
      ELSE 0
    END::DECIMAL(18, 6) AS net_amount,
    CASE
      WHEN valued_orders.is_reconciled AND NOT valued_orders.is_deleted
      THEN valued_orders.refunded_amount
      ELSE 0
    END::DECIMAL(18, 6) AS refunded_amount
  FROM valued_orders AS valued_orders
), ended_states AS (
  /* Until the next moment of the order */
  SELECT
    states.order_id AS order_id,
    states.basis AS basis,
    LEAD(states.changed_at) OVER (PARTITION BY states.order_id, states.basis ORDER BY states.changed_at) AS changed_at,
    states.customer_id AS customer_id,
    states.ordered_at AS ordered_at,
    states.order_count AS order_count,
    states.cancelled_order_count AS cancelled_order_count,
    states.refund_count AS refund_count,
    states.gross_amount AS gross_amount,
    states.net_amount AS net_amount,
    states.refunded_amount AS refunded_amount
  FROM states AS states
), changes AS (
  SELECT
    states.order_id AS order_id,
    states.basis AS basis,
    states.changed_at AS changed_at,
    states.customer_id AS customer_id,
    states.ordered_at AS ordered_at,
    NULL::TIMESTAMP AS previous_ordered_at,
    states.order_count AS order_count,
    states.cancelled_order_count AS cancelled_order_count,
    states.refund_count AS refund_count,
    states.gross_amount AS gross_amount,
    states.net_amount AS net_amount,
    states.refunded_amount AS refunded_amount
  FROM states AS states
  UNION ALL
  SELECT
    ended_states.order_id AS order_id,
    ended_states.basis AS basis,
    ended_states.changed_at AS changed_at,
    ended_states.customer_id AS customer_id,
    NULL::TIMESTAMP AS ordered_at,
    ended_states.ordered_at AS previous_ordered_at,
    -ended_states.order_count AS order_count,
    -ended_states.cancelled_order_count AS cancelled_order_count,
    -ended_states.refund_count AS refund_count,
    -ended_states.gross_amount AS gross_amount,
    -ended_states.net_amount AS net_amount,
    -ended_states.refunded_amount AS refunded_amount
  FROM ended_states AS ended_states
  WHERE
    NOT ended_states.changed_at IS NULL
), summed_changes AS (
  SELECT
    changes.order_id AS order_id,
    changes.customer_id AS customer_id,
    changes.basis AS basis,
    changes.changed_at AS changed_at,
    MAX(changes.ordered_at) AS ordered_at,
    MAX(changes.previous_ordered_at) AS previous_ordered_at,
    SUM(changes.order_count) AS order_count,
    SUM(changes.cancelled_order_count) AS cancelled_order_count,
    SUM(changes.refund_count) AS refund_count,
    SUM(changes.gross_amount) AS gross_amount,
    SUM(changes.net_amount) AS net_amount,
    SUM(changes.refunded_amount) AS refunded_amount
  FROM changes AS changes
  WHERE
    NOT changes.customer_id IS NULL
  GROUP BY
    changes.order_id,
    changes.customer_id,
    changes.basis,
    changes.changed_at
)
SELECT
  summed_changes.order_id::BIGINT AS order_id, /* The order */
  summed_changes.customer_id::BIGINT AS customer_id, /* Customer to whom the change counts, key of customers */
  summed_changes.basis::TEXT AS basis, /* changed: as the shop committed it; known: as objects were written from which the lake could know it */
  summed_changes.changed_at::TIMESTAMP AS changed_at, /* When, by that basis, UTC */
  summed_changes.order_count::BIGINT AS order_count, /* Change of the number of orders that exist, additive */
  summed_changes.cancelled_order_count::BIGINT AS cancelled_order_count, /* Of these, change of the cancelled ones, additive */
  summed_changes.refund_count::BIGINT AS refund_count, /* Change of the number of refunds, additive */
  summed_changes.gross_amount::DECIMAL(18, 6) AS gross_amount, /* Change of gross as sold, reporting currency, additive */
  summed_changes.net_amount::DECIMAL(18, 6) AS net_amount, /* Change of net revenue left of orders that are not cancelled, reporting currency, additive */
  summed_changes.refunded_amount::DECIMAL(18, 6) AS refunded_amount, /* Change of what was paid back without tax, reporting currency, additive */
  summed_changes.ordered_at::TIMESTAMP AS ordered_at /* When the order was placed, as stated from then on, UTC; NULL where it left the customer */
FROM summed_changes AS summed_changes
WHERE
  summed_changes.order_count <> 0
  OR summed_changes.cancelled_order_count <> 0
  OR summed_changes.refund_count <> 0
  OR summed_changes.gross_amount <> 0
  OR summed_changes.net_amount <> 0
  OR summed_changes.refunded_amount <> 0
  OR summed_changes.ordered_at IS DISTINCT FROM summed_changes.previous_ordered_at
