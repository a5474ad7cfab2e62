AUDIT (
  name sales_add_up_to_orders
);

/* Of every order with sales: gross less discount, with tax and shipping, is the total that the order says */
SELECT
  sold.order_id AS order_id,
  sold.amount AS sold_amount,
  current_orders.total_amount AS total_amount
FROM (
  SELECT
    sales.order_id AS order_id,
    SUM(
      sales.gross_amount - sales.discount_amount + sales.tax_amount + sales.shipping_amount
    ) AS amount
  FROM @this_model AS sales
  WHERE
    sales.event_type = 'sale' AND @IS_CHANGED(@this_model, sales.order_id)
  GROUP BY
    sales.order_id
) AS sold
LEFT JOIN silver.current_orders AS current_orders
  ON sold.order_id = current_orders.order_id
WHERE
  current_orders.order_id IS NULL
  OR sold.amount IS NULL
  OR sold.amount <> current_orders.total_amount
