MODEL (
  name silver.products,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = product_id)
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of a product, deleted ones included; equal for every order in which changes arrive.',
  grain (product_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (product_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := product_id, columns := (product_id, valid_from)),
    periods_join(key := product_id),
    created_rows_are_whole(feed := bronze.products, key := product_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(products, silver.change_marks)
)
SELECT
  versions.product_id::BIGINT AS product_id, /* Identifier of the product */
  versions.sku::TEXT AS sku, /* Stock keeping unit, as on the shelf */
  versions.name::TEXT AS product_name, /* Name in the shop */
  versions.category::TEXT AS category, /* Category in the shop */
  versions.subcategory::TEXT AS subcategory, /* Category within the category */
  versions.price::DECIMAL(12, 2) AS price, /* List price of one piece without tax, major units of the currency */
  versions.cost::DECIMAL(12, 2) AS cost, /* Purchase price of one piece, major units of the currency */
  versions.currency::TEXT AS currency, /* Currency of price and cost, ISO 4217, upper case */
  versions.is_active::BOOLEAN AS is_active, /* Whether the product can be ordered */
  versions.description::TEXT AS product_description, /* Text of the product's page */
  versions.created_at::TIMESTAMP AS created_at, /* When the product was created, UTC */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted /* Whether the row was deleted in this period; its columns are the last ones before */
FROM versions AS versions
