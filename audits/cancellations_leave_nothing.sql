AUDIT (
  name cancellations_leave_nothing
);

/* Nothing is left of the items of a cancelled order, and only these have cancellations */
SELECT
  sales.order_id AS order_id,
  sales.line_number AS line_number,
  SUM(sales.quantity) AS left_quantity,
  SUM(sales.net_amount) AS left_net_amount,
  MAX(current_orders.cancelled_at) AS cancelled_at
FROM @this_model AS sales
LEFT JOIN silver.current_orders AS current_orders
  ON sales.order_id = current_orders.order_id
WHERE
  @IS_CHANGED(@this_model, sales.order_id)
GROUP BY
  sales.order_id,
  sales.line_number
HAVING
  CASE
    WHEN MAX(current_orders.cancelled_at) IS NULL
    THEN COUNT(CASE WHEN sales.event_type = 'cancellation' THEN 1 END) > 0
    ELSE SUM(sales.quantity) <> 0
    OR SUM(sales.gross_amount) <> 0
    OR SUM(sales.net_amount) <> 0
    OR SUM(sales.tax_amount) <> 0
    OR SUM(sales.shipping_amount) <> 0
    OR SUM(sales.gross_amount_reporting) <> 0
    OR SUM(sales.net_amount_reporting) <> 0
    OR COALESCE(SUM(sales.cost_amount_reporting), 0) <> 0
  END
