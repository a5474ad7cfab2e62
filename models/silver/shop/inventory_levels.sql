MODEL (
  name silver.inventory_levels,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_date
  ), /* A late movement computes its own date again */
  cron '@daily',
  owner shop,
  description 'One row per movement of a product in a stock, with the level after it; among several versions of a movement on one day the one from the newest object wins.',
  grain (movement_id, event_date),
  tags (silver, shop),
  partitioned_by event_date,
  signals (
    feed_is_complete(feed := 'inventory')
  ),
  audits (
    not_null(
      columns := (
        movement_id,
        product_id,
        location,
        movement_type,
        quantity,
        level,
        moved_at,
        event_date
      )
    ),
    unique_combination_of_columns(columns := (movement_id, event_date)),
    accepted_values(
      "column" := movement_type,
      is_in := ('receipt', 'sale', 'return', 'transfer', 'adjustment')
    ),
    forall(criteria := (
      moved_at::DATE = event_date
    ))
  )
);

SELECT
  movements.movement_id::BIGINT AS movement_id, /* Identifier of the movement; greater than those before in the same stock */
  movements.product_id::BIGINT AS product_id, /* The product, key of silver.products */
  movements.order_id::BIGINT AS order_id, /* The order of a sale or return, key of silver.orders; NULL for others */
  movements.location::TEXT AS location, /* The stock: a warehouse or a shop */
  movements.movement_type::TEXT AS movement_type, /* receipt, sale, return, transfer or adjustment */
  movements.quantity::BIGINT AS quantity, /* Pieces that came, negative if they went */
  movements.level::BIGINT AS level, /* Pieces in the stock after the movement; negative if more were sold than were there */
  movements.moved_at::TIMESTAMP AS moved_at, /* When the goods moved, UTC */
  movements.event_date::DATE AS event_date, /* UTC date of moved_at */
  movements._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  movements._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  movements._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.inventory AS movements
WHERE
  movements.event_date BETWEEN @start_date AND @end_date
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY movements.movement_id, movements.event_date
    ORDER BY movements._source_modified_at DESC, movements._source_file DESC, movements._source_line DESC
  ) = 1
