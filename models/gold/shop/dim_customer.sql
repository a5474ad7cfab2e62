MODEL (
  name gold.dim_customer,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id)
  ), /* Like silver.customers: a late version changes the periods of its neighbours. Type 1 columns change all versions of a customer */
  cron '@daily',
  owner shop,
  description 'One row per version of a customer of the shop, deleted ones included, without names and addresses but with the segment and value of now, and one for unknown customers.',
  grain customer_key,
  tags (gold, shop),
  audits (
    not_null(columns := (customer_key, customer_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := customer_id, columns := (customer_id, customer_key)),
    periods_join(key := customer_id)
  )
);

WITH last_month AS (
  SELECT
    MAX(dim_business_month.month_date) AS month_date
  FROM gold.dim_business_month AS dim_business_month
), current_values AS (
  SELECT
    fct_customer_monthly.customer_id AS customer_id,
    fct_customer_monthly.segment AS segment,
    fct_customer_monthly.lifetime_value AS lifetime_value
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  INNER JOIN last_month AS last_month
    ON fct_customer_monthly.month_date = last_month.month_date
)
SELECT
  @VERSION_KEY(customers.customer_id, customers.valid_from)::TEXT AS customer_key, /* Surrogate key of the version; -1 for unknown customers and guests */
  customers.customer_id::BIGINT AS customer_id, /* Identifier of the customer; -1 for unknown customers and guests */
  customers.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, upper case; NULL if unknown */
  current_values.segment::TEXT AS segment, /* Segment at the end of the last complete month, the same on all versions (type 1); NULL for customers who did not exist then */
  current_values.lifetime_value::DECIMAL(18, 6) AS lifetime_value, /* Contribution margin of all events up to then, reporting currency, the same on all versions (type 1); NULL for customers who did not exist then; NOT additive over versions */
  customers.created_at::TIMESTAMP AS created_at, /* When the customer registered, UTC */
  customers.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC */
  customers.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  customers.is_current::BOOLEAN AS is_current, /* Whether this is the newest version */
  customers.is_deleted::BOOLEAN AS is_deleted /* Whether the customer was deleted in this period; the columns are the last ones before */
FROM silver.customers AS customers
LEFT JOIN current_values AS current_values
  ON customers.customer_id = current_values.customer_id
UNION ALL
SELECT
  '-1'::TEXT AS customer_key,
  (
    -1
  )::BIGINT AS customer_id,
  NULL::TEXT AS country_code,
  NULL::TEXT AS segment,
  NULL::DECIMAL(18, 6) AS lifetime_value,
  NULL::TIMESTAMP AS created_at,
  '1900-01-01'::TIMESTAMP AS valid_from,
  NULL::TIMESTAMP AS valid_to,
  TRUE::BOOLEAN AS is_current,
  FALSE::BOOLEAN AS is_deleted
