MODEL (
  name silver.activity_events,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column event_date
  ),
  cron '@daily',
  owner engagement,
  description 'One row per activity that a child left; of several versions of an event within its day the newest object wins.',
  grain (event_id, event_date),
  tags (silver, engagement),
  partitioned_by event_date,
  signals (
    feed_is_complete(feed := 'events')
  ),
  audits (
    not_null(columns := (event_id, user_id, occurred_at, event_date)),
    unique_combination_of_columns(columns := (event_id, event_date)),
    forall(criteria := (
      occurred_at::DATE = event_date
    )),
    accepted_range_non_blocking("column" := duration_seconds, min_v := 0) /* A clock set back gives negative plays; engagement reads the warning of each run */
  )
);

/* Read twice, so that the wide rows stream past the few that lost: half the cost of ranking all of them */
WITH superseded_versions AS (
  SELECT
    events._source_file AS _source_file,
    events._source_line AS _source_line
  FROM bronze.events AS events
  WHERE
    events.name = 'activity_exit'
    AND events.event_date BETWEEN @start_date AND @end_date
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY events.event_id, events.event_date
      ORDER BY events._source_modified_at DESC, events._source_file DESC, events._source_line DESC
    ) > 1
)
SELECT
  events.event_id::TEXT AS event_id, /* Identity of the event, a UUID given by the app */
  events.user_id::TEXT AS user_id, /* Account that played, key of silver.users; may be unknown there */
  events.child_id::TEXT AS child_id, /* Profile of the child within the account */
  events.data.activity_id::TEXT AS activity_id, /* Activity that was left, key of silver.activities; may be unknown there */
  events.data.collection_id::TEXT AS collection_id, /* Collection it was started from, empty for none */
  events.name::TEXT AS event_name, /* Kind of event: always activity_exit */
  events.data.source::TEXT AS source, /* Screen from which the activity was started */
  events.data.completed::BOOLEAN AS completed_flag, /* Whether it was played to its end; NULL when the app did not say */
  events.context.os.name::TEXT AS os_name, /* Name of the operating system */
  events.context.os.version::TEXT AS os_version, /* Version of the operating system */
  events.context.app.version::TEXT AS app_version, /* Version of the app */
  events.context.app.build::TEXT AS app_build, /* Build of the app */
  events.context.device.device_id::TEXT AS device_id, /* Identity of the device */
  events.context.device.brand::TEXT AS device_brand, /* Maker of the device */
  events.context.device.model::TEXT AS device_model, /* Model of the device */
  events.data.duration::DOUBLE AS duration_seconds, /* Length of the play in seconds, as reported: days are possible */
  events.data.loading_time::DOUBLE AS loading_time_seconds, /* Time until the activity was ready, in seconds */
  events.occurred_at::TIMESTAMP AS occurred_at, /* When the activity was left, UTC */
  events.event_date::DATE AS event_date, /* UTC date of occurred_at */
  events._source_file::TEXT AS _source_file, /* Object that held the record: bucket/key */
  events._source_line::BIGINT AS _source_line, /* Line of the record in the object, counted from 1 */
  events._source_modified_at::TIMESTAMP AS _source_modified_at /* When that object was written, UTC */
FROM bronze.events AS events
LEFT JOIN superseded_versions AS superseded_versions
  ON events._source_file = superseded_versions._source_file
  AND events._source_line = superseded_versions._source_line
WHERE
  superseded_versions._source_line IS NULL
  AND events.name = 'activity_exit'
  AND events.event_date BETWEEN @start_date AND @end_date
