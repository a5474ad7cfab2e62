MODEL (
  name gold.fct_basket_products,
  kind FULL, /* A late order may change any basket, and each month has baskets of its own */
  cron '@daily',
  owner shop,
  description 'One row per recommended month and product in a basket of the twelve months up to it: in how many baskets it is, and whether it may be recommended.',
  grain (month_date, product_id),
  tags (gold, shop),
  audits (
    not_null(columns := (month_date, product_id, baskets, all_baskets, is_offered)),
    unique_combination_of_columns(columns := (month_date, product_id)),
    forall(
      criteria := (
        baskets BETWEEN 1 AND all_baskets,
        is_offered = (
          NOT popularity_rank IS NULL
        )
      )
    )
  )
);

WITH months AS (
  SELECT
    dim_business_month.month_date AS month_date,
    dim_business_month.last_date AS last_date,
    (
      dim_business_month.month_date - INTERVAL @recommendation_months MONTH
    )::DATE AS before_date
  FROM gold.dim_business_month AS dim_business_month
  QUALIFY
    ROW_NUMBER() OVER (ORDER BY dim_business_month.month_date DESC) <= @recommendation_history_months
), baskets AS (
  SELECT
    months.month_date AS month_date,
    fct_baskets.order_id AS order_id,
    fct_baskets.product_id AS product_id
  FROM months AS months
  INNER JOIN gold.fct_baskets AS fct_baskets
    ON fct_baskets.month_date > months.before_date
    AND fct_baskets.month_date <= months.month_date
    AND (
      fct_baskets.cancelled_month_date IS NULL
      OR fct_baskets.cancelled_month_date > months.month_date
    )
), basket_counts AS (
  SELECT
    baskets.month_date AS month_date,
    COUNT(DISTINCT baskets.order_id) AS all_baskets
  FROM baskets AS baskets
  GROUP BY
    baskets.month_date
), product_counts AS (
  SELECT
    baskets.month_date AS month_date,
    baskets.product_id AS product_id,
    COUNT(*) AS baskets
  FROM baskets AS baskets
  GROUP BY
    baskets.month_date,
    baskets.product_id
), offered_products AS (
  /* Those that exist when the month ends */
  SELECT
    months.month_date AS month_date,
    dim_product.product_id AS product_id
  FROM months AS months
  INNER JOIN gold.dim_product AS dim_product
    ON @BUSINESS_TIME(dim_product.valid_from)::DATE <= months.last_date
    AND (
      dim_product.valid_to IS NULL
      OR @BUSINESS_TIME(dim_product.valid_to)::DATE > months.last_date
    )
  WHERE
    NOT dim_product.is_deleted
)
SELECT
  product_counts.month_date::DATE AS month_date, /* First day of the month */
  product_counts.product_id::BIGINT AS product_id, /* The product */
  product_counts.baskets::BIGINT AS baskets, /* Baskets with the product in the months up to this one, NOT additive */
  basket_counts.all_baskets::BIGINT AS all_baskets, /* All baskets in these months, the same for all products, NOT additive */
  (
    NOT offered_products.product_id IS NULL
  )::BOOLEAN AS is_offered, /* Whether the product exists when the month ends */
  CASE
    WHEN NOT offered_products.product_id IS NULL
    THEN ROW_NUMBER() OVER (
      PARTITION BY product_counts.month_date, offered_products.product_id IS NULL
      ORDER BY product_counts.baskets DESC, product_counts.product_id
    )
  END::BIGINT AS popularity_rank /* Place among the products that exist, by baskets, ties by the identifier; NULL for the others */
FROM product_counts AS product_counts
INNER JOIN basket_counts AS basket_counts
  ON product_counts.month_date = basket_counts.month_date
LEFT JOIN offered_products AS offered_products
  ON product_counts.month_date = offered_products.month_date
  AND product_counts.product_id = offered_products.product_id
