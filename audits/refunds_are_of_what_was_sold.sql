AUDIT (
  name refunds_are_of_what_was_sold
);

/* Refunds, but for those after a cancellation, take back no more pieces of an item and no more net revenue of its order than were sold, and none is of an item that its reconciled order lacks. Net revenue is compared by order, since the shop may round an item's part of the discount another way */
WITH left_of_items AS (
  SELECT
    sales.order_id AS order_id,
    sales.line_number AS line_number,
    COUNT(CASE WHEN sales.event_type = 'refund' THEN sales.line_number END) AS refund_count,
    SUM(sales.quantity) AS quantity
  FROM @this_model AS sales
  WHERE
    sales.event_type <> 'cancellation' AND @IS_CHANGED(@this_model, sales.order_id)
  GROUP BY
    sales.order_id,
    sales.line_number
), left_of_orders AS (
  SELECT
    sales.order_id AS order_id,
    SUM(sales.net_amount) AS net_amount
  FROM @this_model AS sales
  WHERE
    sales.event_type <> 'cancellation' AND @IS_CHANGED(@this_model, sales.order_id)
  GROUP BY
    sales.order_id
), refunded_items AS (
  SELECT
    refunds.order_id AS order_id,
    refunds.line_number AS line_number
  FROM silver.refunds AS refunds
  INNER JOIN silver.current_orders AS current_orders
    ON refunds.order_id = current_orders.order_id
  WHERE
    refunds.is_current
    AND NOT refunds.is_deleted
    AND current_orders.is_reconciled
    AND @IS_CHANGED(@this_model, refunds.order_id)
  GROUP BY
    refunds.order_id,
    refunds.line_number
)
SELECT
  COALESCE(left_of_items.order_id, refunded_items.order_id) AS order_id,
  COALESCE(left_of_items.line_number, refunded_items.line_number) AS line_number,
  left_of_items.quantity AS left_quantity,
  left_of_orders.net_amount AS left_net_amount
FROM refunded_items AS refunded_items
FULL JOIN left_of_items AS left_of_items
  ON refunded_items.order_id = left_of_items.order_id
  AND refunded_items.line_number = left_of_items.line_number
LEFT JOIN left_of_orders AS left_of_orders
  ON left_of_items.order_id = left_of_orders.order_id
WHERE
  left_of_items.order_id IS NULL
  OR (
    left_of_items.refund_count > 0
    AND (
      left_of_items.quantity < 0 OR left_of_orders.net_amount < 0
    )
  )
