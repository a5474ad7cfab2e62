MODEL (
  name ops.event_keys_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner platform,
  description 'One row per event feed and event date: rows of bronze and the distinct keys among them. A new event feed adds a SELECT.',
  grain (feed, date),
  tags (ops, pipeline),
  partitioned_by date,
  audits (
    not_null(columns := (feed, date, row_count, key_count)),
    unique_combination_of_columns(columns := (feed, date)),
    forall(criteria := (
      key_count BETWEEN 1 AND row_count
    ))
  )
);

SELECT
  'events'::TEXT AS feed, /* Name of the feed and its contract */
  events.event_date::DATE AS date, /* UTC date of the events */
  COUNT(events.event_id)::BIGINT AS row_count, /* Rows of bronze, additive */
  COUNT(DISTINCT events.event_id)::BIGINT AS key_count /* Distinct keys of the contract among them, additive over dates */
FROM bronze.events AS events
WHERE
  events.event_date BETWEEN @start_date AND @end_date
GROUP BY
  events.event_date
UNION ALL
SELECT
  'clickstream'::TEXT AS feed,
  clickstream.event_date::DATE AS date,
  COUNT(clickstream.event_id)::BIGINT AS row_count,
  COUNT(DISTINCT clickstream.event_id)::BIGINT AS key_count
FROM bronze.clickstream AS clickstream
WHERE
  clickstream.event_date BETWEEN @start_date AND @end_date
GROUP BY
  clickstream.event_date
UNION ALL
SELECT
  'inventory'::TEXT AS feed,
  inventory.event_date::DATE AS date,
  COUNT(inventory.movement_id)::BIGINT AS row_count,
  COUNT(DISTINCT inventory.movement_id)::BIGINT AS key_count
FROM bronze.inventory AS inventory
WHERE
  inventory.event_date BETWEEN @start_date AND @end_date
GROUP BY
  inventory.event_date
