MODEL (
  name gold.fct_inventory_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A new day computes one day, from all movements up to it. A late movement computes all later dates again, hence the tag: each of them goes on from the level before */
  cron '@daily',
  owner shop,
  description 'One row per business date, product and location from the first movement on: levels, and the pieces that came and went.',
  grain (business_date, product_id, location),
  tags (gold, shop, affects_onward),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        date,
        business_date,
        product_id,
        location,
        opening_level,
        received_quantity,
        sold_quantity,
        returned_quantity,
        transferred_quantity,
        adjusted_quantity,
        unexplained_quantity,
        closing_level,
        is_stock_out
      )
    ),
    unique_combination_of_columns(columns := (business_date, product_id, location)),
    movements_are_levels
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), business_dates AS (
  /* The business date that ends on a UTC date is the one in which that begins */
  SELECT
    days.date_day::DATE AS date,
    @BUSINESS_TIME(days.date_day::TIMESTAMP)::DATE AS business_date
  FROM days AS days
), movements AS (
  SELECT
    inventory_levels.product_id AS product_id,
    inventory_levels.location AS location,
    @BUSINESS_TIME(inventory_levels.moved_at)::DATE AS business_date,
    inventory_levels.moved_at AS moved_at,
    inventory_levels.movement_id AS movement_id,
    inventory_levels.movement_type AS movement_type,
    inventory_levels.quantity AS quantity,
    inventory_levels.level AS level
  FROM silver.inventory_levels AS inventory_levels
  WHERE
    inventory_levels.event_date <= @end_date
), ordered_movements AS (
  SELECT
    movements.product_id AS product_id,
    movements.location AS location,
    movements.business_date AS business_date,
    movements.movement_type AS movement_type,
    movements.quantity AS quantity,
    movements.level AS level,
    ROW_NUMBER() OVER (
      PARTITION BY movements.product_id, movements.location
      ORDER BY movements.moved_at, movements.movement_id
    ) AS place,
    ROW_NUMBER() OVER (
      PARTITION BY movements.product_id, movements.location, movements.business_date
      ORDER BY movements.moved_at DESC, movements.movement_id DESC
    ) AS place_from_end
  FROM movements AS movements
), moved_dates AS (
  SELECT
    ordered_movements.product_id AS product_id,
    ordered_movements.location AS location,
    ordered_movements.business_date AS business_date,
    SUM(
      CASE
        WHEN ordered_movements.movement_type = 'receipt'
        THEN ordered_movements.quantity
        ELSE 0
      END
    ) AS received_quantity,
    SUM(
      CASE
        WHEN ordered_movements.movement_type = 'sale'
        THEN ordered_movements.quantity
        ELSE 0
      END
    ) AS sold_quantity,
    SUM(
      CASE
        WHEN ordered_movements.movement_type = 'return'
        THEN ordered_movements.quantity
        ELSE 0
      END
    ) AS returned_quantity,
    SUM(
      CASE
        WHEN ordered_movements.movement_type = 'transfer'
        THEN ordered_movements.quantity
        ELSE 0
      END
    ) AS transferred_quantity,
    SUM(
      CASE
        WHEN ordered_movements.movement_type = 'adjustment'
        THEN ordered_movements.quantity
        ELSE 0
      END
    ) AS adjusted_quantity,
    SUM(ordered_movements.quantity) AS moved_quantity,
    MAX(
      CASE
        WHEN ordered_movements.place = 1
        THEN ordered_movements.level - ordered_movements.quantity
      END
    ) AS first_level, /* Before the first movement of all */
    MAX(CASE WHEN ordered_movements.place_from_end = 1 THEN ordered_movements.level END) AS closing_level
  FROM ordered_movements AS ordered_movements
  GROUP BY
    ordered_movements.product_id,
    ordered_movements.location,
    ordered_movements.business_date
), periods AS (
  /* From a date with movements to the next one the level stays */
  SELECT
    moved_dates.product_id AS product_id,
    moved_dates.location AS location,
    moved_dates.business_date AS business_date,
    LEAD(moved_dates.business_date) OVER (
      PARTITION BY moved_dates.product_id, moved_dates.location
      ORDER BY moved_dates.business_date
    ) AS next_date,
    COALESCE(
      LAG(moved_dates.closing_level) OVER (
        PARTITION BY moved_dates.product_id, moved_dates.location
        ORDER BY moved_dates.business_date
      ),
      moved_dates.first_level
    ) AS opening_level,
    moved_dates.received_quantity AS received_quantity,
    moved_dates.sold_quantity AS sold_quantity,
    moved_dates.returned_quantity AS returned_quantity,
    moved_dates.transferred_quantity AS transferred_quantity,
    moved_dates.adjusted_quantity AS adjusted_quantity,
    moved_dates.moved_quantity AS moved_quantity,
    moved_dates.closing_level AS closing_level
  FROM moved_dates AS moved_dates
), dated_levels AS (
  SELECT
    business_dates.date AS date,
    business_dates.business_date AS business_date,
    periods.product_id AS product_id,
    periods.location AS location,
    (
      business_dates.business_date = periods.business_date
    ) AS has_moved,
    periods.opening_level AS opening_level,
    periods.received_quantity AS received_quantity,
    periods.sold_quantity AS sold_quantity,
    periods.returned_quantity AS returned_quantity,
    periods.transferred_quantity AS transferred_quantity,
    periods.adjusted_quantity AS adjusted_quantity,
    periods.moved_quantity AS moved_quantity,
    periods.closing_level AS closing_level
  FROM business_dates AS business_dates
  INNER JOIN periods AS periods
    ON business_dates.business_date >= periods.business_date
    AND business_dates.business_date < COALESCE(periods.next_date, '9999-12-31'::DATE)
)
SELECT
  dated_levels.date::DATE AS date, /* UTC date on which the business date ends */
  dated_levels.business_date::DATE AS business_date, /* Date by the clock of reporting_timezone */
  dated_levels.product_id::BIGINT AS product_id, /* The product, key of silver.products */
  dated_levels.location::TEXT AS location, /* The stock: a warehouse or a shop */
  CASE
    WHEN dated_levels.has_moved
    THEN dated_levels.opening_level
    ELSE dated_levels.closing_level
  END::BIGINT AS opening_level, /* Pieces at the end of the date before; on the first date before its first movement; additive over products and locations, not over dates */
  CASE WHEN dated_levels.has_moved THEN dated_levels.received_quantity ELSE 0 END::BIGINT AS received_quantity, /* Pieces received, additive */
  CASE WHEN dated_levels.has_moved THEN dated_levels.sold_quantity ELSE 0 END::BIGINT AS sold_quantity, /* Pieces sold, negative, additive */
  CASE WHEN dated_levels.has_moved THEN dated_levels.returned_quantity ELSE 0 END::BIGINT AS returned_quantity, /* Pieces that came back, additive */
  CASE WHEN dated_levels.has_moved THEN dated_levels.transferred_quantity ELSE 0 END::BIGINT AS transferred_quantity, /* Pieces from other locations, negative if they went there, additive */
  CASE WHEN dated_levels.has_moved THEN dated_levels.adjusted_quantity ELSE 0 END::BIGINT AS adjusted_quantity, /* Pieces found, negative if they were missing, additive */
  CASE
    WHEN dated_levels.has_moved
    THEN dated_levels.closing_level - dated_levels.opening_level - dated_levels.moved_quantity
    ELSE 0
  END::BIGINT AS unexplained_quantity, /* Closing less opening level and movements: not 0 where a movement is missing or contradicts its neighbours, additive */
  dated_levels.closing_level::BIGINT AS closing_level, /* Pieces after the last movement so far, negative if oversold; additive over products and locations, not over dates */
  (
    dated_levels.closing_level <= 0
  )::BOOLEAN AS is_stock_out /* Whether the date closes at 0 or below */
FROM dated_levels AS dated_levels
