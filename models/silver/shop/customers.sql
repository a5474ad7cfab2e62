MODEL (
  name silver.customers,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = customer_id)
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of a customer, deleted ones included; but for known_at equal for every order in which changes arrive.',
  grain (customer_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (customer_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := customer_id, columns := (customer_id, valid_from)),
    periods_join(key := customer_id),
    created_rows_are_whole(feed := bronze.customers, key := customer_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(customers, silver.change_marks)
)
SELECT
  versions.customer_id::BIGINT AS customer_id, /* Identifier of the customer */
  versions.email::TEXT AS email, /* Email address; null once the customer has asked to be forgotten */
  versions.name::TEXT AS customer_name, /* Full name */
  versions.country_code::TEXT AS country_code, /* Country of the customer, ISO 3166 alpha-2, upper case */
  versions.birth_date::DATE AS birth_date, /* Date of birth; null if the customer does not tell */
  versions.accepts_marketing::BOOLEAN AS accepts_marketing, /* Whether the customer agreed to marketing */
  versions.interests::TEXT[] AS interests, /* Categories that the customer follows */
  versions.note::TEXT AS service_note, /* Free text of customer service */
  versions.created_at::TIMESTAMP AS created_at, /* When the customer registered, UTC */
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
