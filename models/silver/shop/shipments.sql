MODEL (
  name silver.shipments,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = shipment_id, logged = (
        order_id
    ))
  ), /* A change may arrive late, and moves the periods of its key alone */
  cron '@daily',
  owner shop,
  description 'One row per validity period of a shipment, deleted ones included; equal for every order in which changes arrive.',
  grain (shipment_id, valid_from),
  tags (silver, shop),
  audits (
    not_null(columns := (shipment_id, valid_from, is_current, is_deleted)),
    grain_is_unique(key := shipment_id, columns := (shipment_id, valid_from)),
    periods_join(key := shipment_id),
    created_rows_are_whole(feed := bronze.shipments, key := shipment_id, blocking := FALSE)
  )
);

WITH versions AS (
  @VERSIONS(shipments, silver.change_marks)
)
SELECT
  versions.shipment_id::BIGINT AS shipment_id, /* Identifier of the shipment */
  versions.order_id::BIGINT AS order_id, /* The order, key of orders */
  versions.carrier::TEXT AS carrier, /* Carrier of the parcel */
  versions.created_at::TIMESTAMP AS created_at, /* When the parcel was packed, UTC */
  versions.shipped_at::TIMESTAMP AS shipped_at, /* When the carrier took it, UTC; absent until then */
  versions.delivered_at::TIMESTAMP AS delivered_at, /* When it was delivered, UTC; absent until then */
  versions.valid_from::TIMESTAMP AS valid_from, /* Start of validity, UTC: when the change was committed; of the first version when the row was created, or always if that is not known */
  versions.valid_to::TIMESTAMP AS valid_to, /* End of validity, UTC, exclusive; NULL for the current version */
  (
    versions.valid_to IS NULL
  )::BOOLEAN AS is_current, /* Whether this is the newest version */
  versions.is_deleted::BOOLEAN AS is_deleted /* Whether the row was deleted in this period; its columns are the last ones before */
FROM versions AS versions
