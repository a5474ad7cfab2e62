MODEL (
  name silver.orders,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = order_id)
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of an order, deleted ones included; but for known_at equal for every order in which changes arrive.',
  grain (order_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (order_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := order_id, columns := (order_id, valid_from)),
    periods_join(key := order_id),
    created_rows_are_whole(feed := bronze.orders, key := order_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(orders, silver.change_marks)
)
SELECT
  versions.order_id::BIGINT AS order_id, /* Identifier of the order */
  versions.customer_id::BIGINT AS customer_id, /* The customer, key of customers; absent for guests */
  versions.status::TEXT AS order_status, /* pending, paid, shipped, delivered or cancelled */
  versions.currency::TEXT AS currency, /* Currency of the amounts, ISO 4217, upper case */
  versions.discount_amount::DECIMAL(12, 2) AS discount_amount, /* Discount on the whole order without tax, major units of the currency */
  versions.shipping_amount::DECIMAL(12, 2) AS shipping_amount, /* Shipping without tax, major units of the currency */
  versions.tax_amount::DECIMAL(12, 2) AS tax_amount, /* Tax on goods and shipping, major units of the currency */
  versions.total_amount::DECIMAL(12, 2) AS total_amount, /* What the customer pays: goods less discount, with shipping and tax, major units of the currency */
  versions.shipping_address::TEXT AS shipping_address, /* Postal address of delivery */
  versions.ordered_at::TIMESTAMP AS ordered_at, /* When the order was placed, UTC */
  versions.updated_at::TIMESTAMP AS updated_at, /* When the application last changed the row, UTC */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted, /* Whether the row was deleted in this period; its columns are the last ones before */
  versions.changed_at::TIMESTAMP AS changed_at, /* When the change that began the version was committed, UTC; valid_from where a snapshot is the first to tell of it */
  versions.known_at::TIMESTAMP AS known_at /* When the first object was written that has this version or a later one, UTC */
FROM versions AS versions
