AUDIT (
  name movements_are_levels
);

/* Of the computed dates: opening + movements + unexplained = closing. A date with movements closes at the level of the
   last one, another one at its opening level, and opens where the date before closes, if that is among them too. */
WITH dated_movements AS (
  SELECT
    inventory_levels.product_id AS product_id,
    inventory_levels.location AS location,
    @BUSINESS_TIME(inventory_levels.moved_at)::DATE AS business_date,
    inventory_levels.level AS level,
    inventory_levels.moved_at AS moved_at,
    inventory_levels.movement_id AS movement_id
  FROM silver.inventory_levels AS inventory_levels
), last_movements AS (
  SELECT
    dated_movements.product_id AS product_id,
    dated_movements.location AS location,
    dated_movements.business_date AS business_date,
    dated_movements.level AS level
  FROM dated_movements AS dated_movements
  WHERE
    dated_movements.business_date IN (
      SELECT
        levels.business_date
      FROM @this_model AS levels
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY dated_movements.product_id, dated_movements.location, dated_movements.business_date
      ORDER BY dated_movements.moved_at DESC, dated_movements.movement_id DESC
    ) = 1
), stated_levels AS (
  SELECT
    levels.business_date AS business_date,
    levels.product_id AS product_id,
    levels.location AS location,
    levels.opening_level AS opening_level,
    levels.received_quantity + levels.sold_quantity + levels.returned_quantity + levels.transferred_quantity + levels.adjusted_quantity AS moved_quantity,
    levels.unexplained_quantity AS unexplained_quantity,
    levels.closing_level AS closing_level,
    levels_before.closing_level AS level_before
  FROM @this_model AS levels
  LEFT JOIN @this_model AS levels_before
    ON levels.product_id = levels_before.product_id
    AND levels.location = levels_before.location
    AND levels.business_date = (
      levels_before.business_date + INTERVAL '1' DAY
    )::DATE
)
SELECT
  COALESCE(stated_levels.business_date, last_movements.business_date) AS business_date,
  COALESCE(stated_levels.product_id, last_movements.product_id) AS product_id,
  COALESCE(stated_levels.location, last_movements.location) AS location,
  stated_levels.level_before AS level_before,
  stated_levels.opening_level AS opening_level,
  stated_levels.moved_quantity AS moved_quantity,
  stated_levels.unexplained_quantity AS unexplained_quantity,
  stated_levels.closing_level AS closing_level,
  last_movements.level AS last_level
FROM stated_levels AS stated_levels
FULL JOIN last_movements AS last_movements
  ON stated_levels.business_date = last_movements.business_date
  AND stated_levels.product_id = last_movements.product_id
  AND stated_levels.location = last_movements.location
WHERE
  stated_levels.business_date IS NULL
  OR stated_levels.opening_level + stated_levels.moved_quantity + stated_levels.unexplained_quantity <> stated_levels.closing_level
  OR stated_levels.closing_level <> COALESCE(last_movements.level, stated_levels.opening_level)
  OR stated_levels.opening_level <> COALESCE(stated_levels.level_before, stated_levels.opening_level)
