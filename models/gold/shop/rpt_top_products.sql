MODEL (
  name gold.rpt_top_products,
  kind FULL, /* A late event may fall into any month, and a new name changes all rows of its product: one pass over gold.fct_sales */
  cron '@daily',
  owner shop,
  description 'One row per month and product with sales, refunds or cancellations in it, ranked by net revenue; unknown products are one row.',
  grain (month_date, product_id),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        month_date,
        product_id,
        revenue_rank,
        event_count,
        sold_quantity,
        returned_quantity,
        order_count,
        net_amount,
        costed_net_amount,
        profit_amount
      )
    ),
    unique_combination_of_columns(columns := (month_date, product_id)),
    unique_combination_of_columns(columns := (month_date, revenue_rank)),
    products_are_all_sales
  )
);

WITH product_months AS (
  SELECT
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE AS month_date,
    dim_product.product_id AS product_id,
    COUNT(*) AS event_count,
    SUM(CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.quantity ELSE 0 END) AS sold_quantity,
    SUM(CASE WHEN fct_sales.event_type <> 'sale' THEN -fct_sales.quantity ELSE 0 END) AS returned_quantity,
    COUNT(DISTINCT CASE WHEN fct_sales.event_type = 'sale' THEN fct_sales.order_id END) AS order_count,
    SUM(fct_sales.net_amount_reporting) AS net_amount,
    COALESCE(
      SUM(
        CASE
          WHEN NOT fct_sales.cost_amount_reporting IS NULL
          THEN fct_sales.net_amount_reporting
        END
      ),
      0
    ) AS costed_net_amount,
    COALESCE(SUM(fct_sales.profit_amount_reporting), 0) AS profit_amount
  FROM gold.fct_sales AS fct_sales
  INNER JOIN gold.dim_product AS dim_product
    ON fct_sales.product_key = dim_product.product_key
  GROUP BY
    DATE_TRUNC('MONTH', fct_sales.business_date)::DATE,
    dim_product.product_id
)
SELECT
  product_months.month_date::DATE AS month_date, /* First day of the month of the business dates */
  product_months.product_id::BIGINT AS product_id, /* The product, product_id of gold.dim_product; -1 for unknown products */
  dim_product.product_name::TEXT AS product_name, /* Newest name in the shop; NULL if unknown */
  dim_product.category::TEXT AS category, /* Newest category in the shop; NULL if unknown */
  dim_product.subcategory::TEXT AS subcategory, /* Newest category within the category; NULL if unknown */
  ROW_NUMBER() OVER (
    PARTITION BY product_months.month_date
    ORDER BY product_months.net_amount DESC, product_months.product_id
  )::INT AS revenue_rank, /* Place by net revenue within the month, from 1, ties by product_id */
  product_months.event_count::BIGINT AS event_count, /* Sales, refunds and cancellations of items, additive */
  product_months.sold_quantity::BIGINT AS sold_quantity, /* Pieces sold, additive */
  product_months.returned_quantity::BIGINT AS returned_quantity, /* Pieces that came back or were cancelled, additive */
  product_months.order_count::BIGINT AS order_count, /* Orders with a sale of the product, additive over months, not over products */
  product_months.net_amount::DECIMAL(18, 6) AS net_amount, /* Net revenue of the month's events, reporting currency, additive */
  product_months.costed_net_amount::DECIMAL(18, 6) AS costed_net_amount, /* Net revenue of events whose cost is known, reporting currency, additive */
  product_months.profit_amount::DECIMAL(18, 6) AS profit_amount /* Profit of events whose cost is known, reporting currency, additive */
FROM product_months AS product_months
INNER JOIN gold.dim_product AS dim_product
  ON product_months.product_id = dim_product.product_id AND dim_product.is_current
