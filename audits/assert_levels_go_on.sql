AUDIT (
  name assert_levels_go_on,
  standalone TRUE,
  cron '@daily',
  owner shop,
  defaults (scope = 'everything'),
  description 'No rows: every date of a product and location opens where the date before closed, and is followed by the next computed date.'
);

WITH next_levels AS (
  SELECT
    fct_inventory_daily.product_id AS product_id,
    fct_inventory_daily.location AS location,
    fct_inventory_daily.business_date AS business_date,
    fct_inventory_daily.closing_level AS closing_level,
    LEAD(fct_inventory_daily.business_date) OVER (
      PARTITION BY fct_inventory_daily.product_id, fct_inventory_daily.location
      ORDER BY fct_inventory_daily.business_date
    ) AS next_date,
    LEAD(fct_inventory_daily.opening_level) OVER (
      PARTITION BY fct_inventory_daily.product_id, fct_inventory_daily.location
      ORDER BY fct_inventory_daily.business_date
    ) AS next_opening_level
  FROM gold.fct_inventory_daily AS fct_inventory_daily
), last_date AS (
  SELECT
    MAX(fct_inventory_daily.business_date) AS business_date
  FROM gold.fct_inventory_daily AS fct_inventory_daily
)
SELECT
  next_levels.product_id AS product_id,
  next_levels.location AS location,
  next_levels.business_date AS business_date,
  next_levels.closing_level AS closing_level,
  next_levels.next_date AS next_date,
  next_levels.next_opening_level AS next_opening_level
FROM next_levels AS next_levels
INNER JOIN last_date AS last_date
  ON next_levels.business_date < last_date.business_date
WHERE
  next_levels.next_date IS NULL
  OR next_levels.next_date <> (
    next_levels.business_date + INTERVAL '1' DAY
  )::DATE
  OR next_levels.next_opening_level <> next_levels.closing_level
