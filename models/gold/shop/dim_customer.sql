MODEL (
  name gold.dim_customer,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id)
  ), /* Like silver.customers: a late version changes the periods of its neighbours */
  cron '@daily',
  owner shop,
  description 'One row per version of a customer of the shop, deleted ones included, without names and addresses, and one for unknown customers.',
  grain customer_key,
  tags (gold, shop),
  audits (
    not_null(columns := (customer_key, customer_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := customer_id, columns := (customer_id, customer_key)),
    periods_join(key := customer_id)
  )
);

SELECT
  @VERSION_KEY(customers.customer_id, customers.valid_from)::TEXT AS customer_key, /* Surrogate key of the version; -1 for unknown customers and guests */
  customers.customer_id::BIGINT AS customer_id, /* Identifier of the customer; -1 for unknown customers and guests */
  customers.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, upper case; NULL if unknown */
  customers.created_at::TIMESTAMP AS created_at, /* When the customer registered, UTC */
  customers.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC */
  customers.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  customers.is_current::BOOLEAN AS is_current, /* Whether this is the newest version */
  customers.is_deleted::BOOLEAN AS is_deleted /* Whether the customer was deleted in this period; the columns are the last ones before */
FROM silver.customers AS customers
UNION ALL
SELECT
  '-1'::TEXT AS customer_key,
  (
    -1
  )::BIGINT AS customer_id,
  NULL::TEXT AS country_code,
  NULL::TIMESTAMP AS created_at,
  '1900-01-01'::TIMESTAMP AS valid_from,
  NULL::TIMESTAMP AS valid_to,
  TRUE::BOOLEAN AS is_current,
  FALSE::BOOLEAN AS is_deleted
