MODEL (
  name gold.dim_product,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = product_id)
  ), /* Like silver.products: a late version changes the periods of its neighbours */
  cron '@daily',
  owner shop,
  description 'One row per version of a product of the shop, deleted ones included, and one for unknown products.',
  grain product_key,
  tags (gold, shop),
  audits (
    not_null(columns := (product_key, product_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := product_id, columns := (product_id, product_key)),
    periods_join(key := product_id)
  )
);

SELECT
  MD5(CONCAT_WS('|', products.product_id::TEXT, products.valid_from::TEXT))::TEXT AS product_key, /* Surrogate key of the version; -1 for unknown products */
  products.product_id::BIGINT AS product_id, /* Identifier of the product; -1 for unknown products */
  products.sku::TEXT AS sku, /* Stock keeping unit, as on the shelf */
  products.product_name::TEXT AS product_name, /* Name in the shop */
  products.category::TEXT AS category, /* Category in the shop; NULL if unknown */
  products.subcategory::TEXT AS subcategory, /* Category within the category; NULL if unknown */
  products.price::DECIMAL(12, 2) AS price, /* List price of one piece without tax, major units of the currency */
  products.cost::DECIMAL(12, 2) AS cost, /* Purchase price of one piece, major units of the currency; NULL if unknown */
  products.currency::TEXT AS currency, /* Currency of price and cost, ISO 4217, upper case */
  products.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC */
  products.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  products.is_current::BOOLEAN AS is_current, /* Whether this is the newest version */
  products.is_deleted::BOOLEAN AS is_deleted /* Whether the product was deleted in this period; the columns are the last ones before */
FROM silver.products AS products
UNION ALL
SELECT
  '-1'::TEXT AS product_key,
  (
    -1
  )::BIGINT AS product_id,
  NULL::TEXT AS sku,
  NULL::TEXT AS product_name,
  NULL::TEXT AS category,
  NULL::TEXT AS subcategory,
  NULL::DECIMAL(12, 2) AS price,
  NULL::DECIMAL(12, 2) AS cost,
  NULL::TEXT AS currency,
  '1900-01-01'::TIMESTAMP AS valid_from,
  NULL::TIMESTAMP AS valid_to,
  TRUE::BOOLEAN AS is_current,
  FALSE::BOOLEAN AS is_deleted
