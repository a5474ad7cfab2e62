MODEL (
  name silver.order_items,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id)
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of an order item, deleted ones included; but for known_at equal for every order in which changes arrive.',
  grain (order_id, line_number, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (order_id, line_number, valid_from, is_current, is_deleted)),
    grain_is_unique(key := order_id, columns := (order_id, line_number, valid_from))
  )
);

WITH versions AS (
  @VERSIONS(order_items, silver.change_marks)
)
SELECT
  versions.order_id::BIGINT AS order_id, /* The order, key of orders */
  versions.line_number::BIGINT AS line_number, /* Number of the item within the order, from 1 */
  versions.product_id::BIGINT AS product_id, /* The product, key of products */
  versions.quantity::BIGINT AS quantity, /* Number of pieces */
  versions.unit_price::DECIMAL(12, 2) AS unit_price, /* Price of one piece without tax as ordered, major units of the order's currency */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted, /* Whether the row was deleted in this period; its columns are the last ones before */
  versions.changed_at::TIMESTAMP AS changed_at, /* When the change that began the version was committed, UTC; valid_from where a snapshot is the first to tell of it */
  versions.known_at::TIMESTAMP AS known_at /* When the first object was written that has this version or a later one, UTC */
FROM versions AS versions
