AUDIT (
  name items_are_sold
);

/* Every reconciled order has as many sales as items */
WITH item_counts AS (
  SELECT
    order_items.order_id AS order_id,
    COUNT(*) AS item_count
  FROM silver.order_items AS order_items
  INNER JOIN silver.current_orders AS current_orders
    ON order_items.order_id = current_orders.order_id
  WHERE
    order_items.is_current
    AND NOT order_items.is_deleted
    AND current_orders.is_reconciled
    AND @IS_CHANGED(@this_model, order_items.order_id)
  GROUP BY
    order_items.order_id
), sale_counts AS (
  SELECT
    sales.order_id AS order_id,
    COUNT(*) AS sale_count
  FROM @this_model AS sales
  WHERE
    sales.event_type = 'sale' AND @IS_CHANGED(@this_model, sales.order_id)
  GROUP BY
    sales.order_id
)
SELECT
  COALESCE(item_counts.order_id, sale_counts.order_id) AS order_id,
  item_counts.item_count AS item_count,
  sale_counts.sale_count AS sale_count
FROM item_counts AS item_counts
FULL JOIN sale_counts AS sale_counts
  ON item_counts.order_id = sale_counts.order_id
WHERE
  COALESCE(item_counts.item_count, 0) <> COALESCE(sale_counts.sale_count, 0)
