MODEL (
  name ops.quality_daily,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per feed and UTC date since its first record, at most 400 days: validity, completeness, uniqueness and freshness, as parts and as shares. Today is judged by what has arrived so far.',
  grain (feed, date),
  tags (ops, pipeline, released),
  audits (
    not_null(columns := (feed, date, record_count, good_count, row_count, freshness_seconds)),
    unique_combination_of_columns(columns := (feed, date)),
    accepted_range("column" := validity, min_v := 0, max_v := 1),
    accepted_range("column" := completeness, min_v := 0, max_v := 1),
    accepted_range("column" := uniqueness, min_v := 0, max_v := 1),
    accepted_range("column" := freshness, min_v := 0, max_v := 1)
  )
);

WITH arrivals AS (
  /* All versions: that an object is overwritten later does not change what was there on an earlier date */
  SELECT
    objects.feed AS feed,
    objects.modified_at::DATE AS date,
    MAX(objects.modified_at) AS newest_object_at
  FROM operations.objects AS objects
  GROUP BY
    objects.feed,
    objects.modified_at::DATE
), written AS (
  SELECT
    object_versions.feed AS feed,
    object_versions.modified_at::DATE AS date,
    SUM(object_versions.records) AS record_count,
    SUM(object_versions.rows + object_versions.erased + object_versions.skipped) AS good_count,
    SUM(object_versions.rows) AS row_count
  FROM ops.object_versions AS object_versions
  GROUP BY
    object_versions.feed,
    object_versions.modified_at::DATE
), received AS (
  SELECT
    object_dates.feed AS feed,
    object_dates.event_date AS date,
    SUM(object_dates.row_count) AS received_count
  FROM ops.object_dates AS object_dates
  GROUP BY
    object_dates.feed,
    object_dates.event_date
  UNION ALL
  SELECT
    written.feed AS feed,
    written.date AS date,
    written.row_count AS received_count
  FROM written AS written
  INNER JOIN operations.feeds AS feeds
    ON written.feed = feeds.feed
  WHERE
    feeds.kind <> 'event'
), first_days AS (
  SELECT
    known_days.feed AS feed,
    MIN(known_days.date) AS first_date
  FROM (
    SELECT
      arrivals.feed AS feed,
      arrivals.date AS date
    FROM arrivals AS arrivals
    UNION ALL
    SELECT
      received.feed AS feed,
      received.date AS date
    FROM received AS received
  ) AS known_days
  GROUP BY
    known_days.feed
), listed_days AS (
  SELECT
    UNNEST(
      GENERATE_SERIES(
        (
          (
            CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
          )::DATE - INTERVAL '399' DAY
        )::DATE,
        (
          CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
        )::DATE,
        INTERVAL '1' DAY
      )
    ) AS date
), days AS (
  SELECT
    first_days.feed AS feed,
    listed_days.date::DATE AS date,
    (
      listed_days.date::DATE = (
        CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
      )::DATE
    ) AS is_today
  FROM first_days AS first_days
  INNER JOIN listed_days AS listed_days
    ON first_days.first_date <= listed_days.date::DATE
), expected AS (
  SELECT
    days.feed AS feed,
    days.date AS date,
    MEDIAN(received.received_count) AS expected_count
  FROM days AS days
  INNER JOIN received AS received
    ON days.feed = received.feed
    AND received.date < days.date
    AND received.date >= days.date - INTERVAL '56' DAY
    AND @DAY_OF_WEEK(received.date) = @DAY_OF_WEEK(days.date)
  WHERE
    NOT days.is_today
  GROUP BY
    days.feed,
    days.date
  HAVING
    COUNT(received.received_count) >= 3
), newest AS (
  SELECT
    days.feed AS feed,
    days.date AS date,
    MAX(arrivals.newest_object_at) AS newest_object_at
  FROM days AS days
  INNER JOIN arrivals AS arrivals
    ON days.feed = arrivals.feed AND arrivals.date <= days.date
  GROUP BY
    days.feed,
    days.date
), measured AS (
  SELECT
    days.feed AS feed,
    days.date AS date,
    COALESCE(written.record_count, 0) AS record_count,
    COALESCE(written.good_count, 0) AS good_count,
    COALESCE(written.row_count, 0) AS row_count,
    COALESCE(received.received_count, 0) AS received_count,
    expected.expected_count AS expected_count,
    event_keys.row_count AS keyed_row_count,
    event_keys.key_count AS key_count,
    feeds.freshness_seconds AS freshness_seconds,
    DATE_DIFF(
      'SECOND',
      DATE_TRUNC('SECOND', newest.newest_object_at),
      DATE_TRUNC(
        'SECOND',
        CASE
          WHEN days.is_today
          THEN CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
          ELSE (
            days.date + INTERVAL '1' DAY
          )::TIMESTAMP
        END
      )
    ) AS age_seconds
  FROM days AS days
  INNER JOIN operations.feeds AS feeds
    ON days.feed = feeds.feed
  LEFT JOIN written AS written
    ON days.feed = written.feed AND days.date = written.date
  LEFT JOIN received AS received
    ON days.feed = received.feed AND days.date = received.date
  LEFT JOIN expected AS expected
    ON days.feed = expected.feed AND days.date = expected.date
  LEFT JOIN newest AS newest
    ON days.feed = newest.feed AND days.date = newest.date
  LEFT JOIN ops.event_keys_daily AS event_keys
    ON days.feed = event_keys.feed AND days.date = event_keys.date
)
SELECT
  measured.feed::TEXT AS feed, /* Name of the feed and its contract */
  measured.date::DATE AS date, /* UTC date */
  measured.record_count::BIGINT AS record_count, /* Non-blank records of objects written on that date, newest versions, additive */
  measured.good_count::BIGINT AS good_count, /* Of those, neither quarantined nor dropped, additive */
  measured.row_count::BIGINT AS row_count, /* Of those, rows of bronze, additive */
  measured.received_count::BIGINT AS received_count, /* Rows of that event date; of an entity feed rows written on that date, additive */
  measured.expected_count::DOUBLE AS expected_count, /* Median on the same weekday in the eight weeks before; NULL with fewer than three of them, and today */
  measured.keyed_row_count::BIGINT AS keyed_row_count, /* Rows of bronze of that event date; NULL for an entity feed, additive */
  measured.key_count::BIGINT AS key_count, /* Distinct keys among them, additive over dates; NULL for an entity feed, whose keys have versions */
  measured.age_seconds::BIGINT AS age_seconds, /* Age of the newest object at the end of that date, today now, all versions, seconds; NULL before the first object */
  measured.freshness_seconds::BIGINT AS freshness_seconds, /* Maximum age by the contract, seconds */
  (
    measured.good_count::DOUBLE / NULLIF(measured.record_count, 0)
  )::DOUBLE AS validity, /* good_count / record_count, 0 to 1; NULL without records */
  (
    CASE
      WHEN measured.expected_count > 0
      THEN LEAST(1.0, measured.received_count::DOUBLE / NULLIF(measured.expected_count, 0))
    END
  )::DOUBLE AS completeness, /* received_count / expected_count, at most 1; NULL if it is unknown what to expect, and today */
  (
    measured.key_count::DOUBLE / NULLIF(measured.keyed_row_count, 0)
  )::DOUBLE AS uniqueness, /* key_count / keyed_row_count, 0 to 1 */
  (
    CASE
      WHEN measured.age_seconds > measured.freshness_seconds
      THEN measured.freshness_seconds::DOUBLE / NULLIF(measured.age_seconds, 0)
      WHEN measured.age_seconds <= measured.freshness_seconds
      THEN 1.0
    END
  )::DOUBLE AS freshness /* freshness_seconds / age_seconds, at most 1; NULL before the first object */
FROM measured AS measured
