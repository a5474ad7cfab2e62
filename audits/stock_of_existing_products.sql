AUDIT (
  name stock_of_existing_products
);

/* Levels of the last computed date of all products that exist, and of no others */
WITH last_date AS (
  SELECT
    MAX(fct_inventory_daily.business_date) AS business_date
  FROM gold.fct_inventory_daily AS fct_inventory_daily
), levels AS (
  SELECT
    fct_inventory_daily.product_id AS product_id,
    fct_inventory_daily.location AS location,
    fct_inventory_daily.closing_level AS level
  FROM gold.fct_inventory_daily AS fct_inventory_daily
  INNER JOIN last_date AS last_date
    ON fct_inventory_daily.business_date = last_date.business_date
  WHERE
    fct_inventory_daily.product_id IN (
      SELECT
        dim_product.product_id
      FROM gold.dim_product AS dim_product
      WHERE
        dim_product.is_current
        AND NOT dim_product.is_deleted
        AND dim_product.product_key <> '-1'
    )
)
SELECT
  COALESCE(report.product_id, levels.product_id) AS product_id,
  COALESCE(report.location, levels.location) AS location,
  report.level AS reported_level,
  levels.level AS level
FROM @this_model AS report
FULL JOIN levels AS levels
  ON report.product_id = levels.product_id AND report.location = levels.location
WHERE
  report.product_id IS NULL
  OR levels.product_id IS NULL
  OR report.level <> levels.level
