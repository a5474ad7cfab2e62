MODEL (
  name gold.rpt_stock_risk,
  kind FULL, /* Of the last computed date alone; any late movement or version of a product may change it */
  cron '@daily',
  owner shop,
  description 'One row per product that exists and location where it has moved: its level, demand and risk as of the last computed business date.',
  grain (product_id, location),
  tags (gold, shop),
  audits (
    not_null(
      columns := (
        business_date,
        product_id,
        location,
        level,
        sold_quantity,
        sale_days,
        demand,
        risk
      )
    ),
    unique_combination_of_columns(columns := (product_id, location)),
    accepted_values("column" := risk, is_in := ('out', 'idle', 'low', 'ok')),
    stock_of_existing_products
  )
);

WITH last_date AS (
  SELECT
    MAX(fct_inventory_daily.business_date) AS business_date
  FROM gold.fct_inventory_daily AS fct_inventory_daily
), stocks AS (
  SELECT
    last_date.business_date AS business_date,
    fct_inventory_daily.product_id AS product_id,
    fct_inventory_daily.location AS location,
    MAX(
      CASE
        WHEN fct_inventory_daily.business_date = last_date.business_date
        THEN fct_inventory_daily.closing_level
      END
    ) AS level,
    -SUM(fct_inventory_daily.sold_quantity) AS sold_quantity,
    COUNT(
      CASE
        WHEN NOT fct_inventory_daily.is_stock_out OR fct_inventory_daily.sold_quantity < 0
        THEN fct_inventory_daily.product_id
      END
    ) AS sale_days
  FROM gold.fct_inventory_daily AS fct_inventory_daily
  INNER JOIN last_date AS last_date
    ON fct_inventory_daily.business_date > last_date.business_date - INTERVAL @stock_demand_days DAY
  GROUP BY
    last_date.business_date,
    fct_inventory_daily.product_id,
    fct_inventory_daily.location
)
SELECT
  stocks.business_date::DATE AS business_date, /* Last computed business date, whose end the report describes */
  stocks.product_id::BIGINT AS product_id, /* The product, product_id of gold.dim_product */
  stocks.location::TEXT AS location, /* The stock: a warehouse or a shop */
  dim_product.product_name::TEXT AS product_name, /* Name in the shop now */
  dim_product.category::TEXT AS category, /* Category in the shop now; NULL if unknown */
  dim_product.subcategory::TEXT AS subcategory, /* Category within the category now; NULL if unknown */
  CASE
    WHEN stocks.level <= 0
    THEN 'out'
    WHEN stocks.sold_quantity <= 0
    THEN 'idle'
    WHEN stocks.level * stocks.sale_days < @stock_lead_days * stocks.sold_quantity
    THEN 'low'
    ELSE 'ok'
  END::TEXT AS risk, /* out at a level of 0 or below, else idle without sales, else low with fewer days of cover than stock_lead_days, else ok */
  stocks.level::BIGINT AS level, /* Pieces in the stock, negative if oversold, additive */
  stocks.sold_quantity::BIGINT AS sold_quantity, /* Pieces sold in the last stock_demand_days business dates, additive */
  stocks.sale_days::INT AS sale_days, /* Of these dates from the first movement on, those that were no stock-out or had sales; NOT additive */
  COALESCE(stocks.sold_quantity::DOUBLE / NULLIF(stocks.sale_days, 0)::DOUBLE, 0)::DOUBLE AS demand, /* Pieces sold per date on which there was something to sell, additive */
  (
    (
      stocks.level * stocks.sale_days
    )::DOUBLE / NULLIF(GREATEST(stocks.sold_quantity, 0), 0)::DOUBLE
  )::DOUBLE AS days_of_cover /* level / demand: days until the stock is out; NULL without demand; NOT additive */
FROM stocks AS stocks
INNER JOIN gold.dim_product AS dim_product
  ON stocks.product_id = dim_product.product_id
WHERE
  dim_product.is_current
  AND NOT dim_product.is_deleted
  AND dim_product.product_key <> '-1'
