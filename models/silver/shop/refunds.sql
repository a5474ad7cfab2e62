MODEL (
  name silver.refunds,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = refund_id, logged = (
        order_id
    ))
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of a refund, deleted ones included; but for known_at equal for every order in which changes arrive.',
  grain (refund_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (refund_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := refund_id, columns := (refund_id, valid_from)),
    periods_join(key := refund_id),
    created_rows_are_whole(feed := bronze.refunds, key := refund_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(refunds, silver.change_marks)
)
SELECT
  versions.refund_id::BIGINT AS refund_id, /* Identifier of the refund */
  versions.order_id::BIGINT AS order_id, /* The order, key of orders */
  versions.line_number::BIGINT AS line_number, /* Number of the item within the order */
  versions.quantity::BIGINT AS quantity, /* Pieces that came back; 0 where only money was returned */
  versions.amount::DECIMAL(12, 2) AS amount, /* Amount paid back without tax, major units of the order's currency */
  versions.tax_amount::DECIMAL(12, 2) AS tax_amount, /* Tax paid back, major units of the order's currency */
  versions.refunded_at::TIMESTAMP AS refunded_at, /* When it was paid back, UTC */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted, /* Whether the row was deleted in this period; its columns are the last ones before */
  versions.changed_at::TIMESTAMP AS changed_at, /* When the change that began the version was committed, UTC; valid_from where a snapshot is the first to tell of it */
  versions.known_at::TIMESTAMP AS known_at /* When the first object was written that has this version or a later one, UTC */
FROM versions AS versions
