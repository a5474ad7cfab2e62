MODEL (
  name silver.payments,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = payment_id, logged = (
        order_id
    ))
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of a payment, deleted ones included; equal for every order in which changes arrive.',
  grain (payment_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (payment_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := payment_id, columns := (payment_id, valid_from)),
    periods_join(key := payment_id),
    created_rows_are_whole(feed := bronze.payments, key := payment_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(payments, silver.change_marks)
)
SELECT
  versions.payment_id::BIGINT AS payment_id, /* Identifier of the payment */
  versions.order_id::BIGINT AS order_id, /* The order, key of orders */
  versions.method::TEXT AS payment_method, /* card, transfer, wallet or invoice */
  versions.status::TEXT AS payment_status, /* authorized, captured, failed or voided */
  versions.amount::DECIMAL(12, 2) AS amount, /* Amount with tax and shipping, major units of the currency */
  versions.currency::TEXT AS currency, /* Currency of the amount, ISO 4217, upper case */
  versions.created_at::TIMESTAMP AS created_at, /* When the payment was started, UTC */
  versions.captured_at::TIMESTAMP AS captured_at, /* When the money was taken, UTC; absent until then */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted /* Whether the row was deleted in this period; its columns are the last ones before */
FROM versions AS versions
