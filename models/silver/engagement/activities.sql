MODEL (
  name silver.activities,
  kind CUSTOM (
    materialization 'by_key',
    materialization_properties (key = activity_id)
  ), /* The newest of all versions of an activity */
  cron '@daily',
  owner engagement,
  description 'One row per activity of the catalogue, as its newest record describes it.',
  grain activity_id,
  tags (silver, engagement),
  audits (
    not_null(columns := activity_id),
    grain_is_unique(key := activity_id, columns := (
      activity_id
    ))
  )
);

SELECT
  activities.activity_id::TEXT AS activity_id, /* Identifier of the activity */
  activities.name::TEXT AS activity_name, /* Title of the activity; may be empty */
  activities.type::TEXT AS activity_type, /* Type of activity: game, video, traceable, audiobook, ... */
  activities.subtype::TEXT AS activity_subtype, /* Subcategory within the type; may be empty or NULL */
  activities._source_file::TEXT AS _source_file, /* Object that contains the record: bucket/key */
  activities._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  activities._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.activities AS activities
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY activities.activity_id
    ORDER BY activities._source_modified_at DESC, activities._source_file DESC, activities._source_line DESC
  ) = 1
