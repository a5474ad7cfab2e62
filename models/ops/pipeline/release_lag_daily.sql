MODEL (
  name ops.release_lag_daily,
  kind VIEW,
  cron '@daily',
  owner platform,
  description 'One row per event feed and date of release: how long its rows took from the end of their day, and from the landing, to the release that first had them.',
  grain (feed, release_date),
  tags (ops, pipeline, released),
  audits (
    not_null(
      columns := (
        feed,
        release_date,
        row_count,
        p50_event_seconds,
        p90_event_seconds,
        max_event_seconds,
        p50_landing_seconds,
        p90_landing_seconds,
        max_landing_seconds
      )
    ),
    unique_combination_of_columns(columns := (feed, release_date)),
    forall(
      criteria := (
        row_count > 0,
        p50_landing_seconds BETWEEN 0 AND p90_landing_seconds,
        p90_landing_seconds <= max_landing_seconds
      )
    )
  )
);

WITH day_rows AS (
  SELECT
    object_dates.feed AS feed,
    object_dates.modified_at AS modified_at,
    STRPTIME(REPLACE(LEFT(object_dates.load_id, 15), 'T', ''), '%Y%m%d%H%M%S') AS loaded_at,
    (
      object_dates.event_date + INTERVAL '1' DAY
    )::TIMESTAMP AS day_ended_at,
    object_dates.row_count AS row_count
  FROM ops.object_dates AS object_dates
), waiting_rows AS (
  /* From ready_at on a release has them: they are loaded and their day is over */
  SELECT
    day_rows.feed AS feed,
    day_rows.day_ended_at AS day_ended_at,
    GREATEST(day_rows.modified_at, day_rows.day_ended_at) AS landed_at,
    GREATEST(day_rows.loaded_at, day_rows.day_ended_at) AS ready_at,
    SUM(day_rows.row_count) AS row_count
  FROM day_rows AS day_rows
  GROUP BY
    day_rows.feed,
    day_rows.day_ended_at,
    GREATEST(day_rows.modified_at, day_rows.day_ended_at),
    GREATEST(day_rows.loaded_at, day_rows.day_ended_at)
), releases AS (
  SELECT
    runs.started_at AS started_at,
    (
      runs.started_at + INTERVAL '1' SECOND * ROUND(runs.seconds::DECIMAL(18, 6))::INT
    )::TIMESTAMP AS released_at
  FROM operations.runs AS runs
  WHERE
    runs.outcome = 'published'
), moments AS (
  SELECT
    waiting_rows.feed AS feed,
    waiting_rows.day_ended_at AS day_ended_at,
    waiting_rows.landed_at AS landed_at,
    waiting_rows.ready_at AS moment,
    0 AS is_release,
    waiting_rows.row_count AS row_count,
    NULL::TIMESTAMP AS released_at,
    NULL::DATE AS release_date
  FROM waiting_rows AS waiting_rows
  UNION ALL
  SELECT
    NULL::TEXT AS feed,
    NULL::TIMESTAMP AS day_ended_at,
    NULL::TIMESTAMP AS landed_at,
    releases.released_at AS moment,
    1 AS is_release,
    NULL::BIGINT AS row_count,
    releases.released_at AS released_at,
    releases.started_at::DATE AS release_date
  FROM releases AS releases
), released_rows AS (
  SELECT
    moments.feed AS feed,
    moments.day_ended_at AS day_ended_at,
    moments.landed_at AS landed_at,
    moments.row_count AS row_count,
    MIN(moments.released_at) OVER (
      ORDER BY moments.moment, moments.is_release
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS released_at,
    MIN(moments.release_date) OVER (
      ORDER BY moments.moment, moments.is_release
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS release_date
  FROM moments AS moments
), lags AS (
  SELECT
    released_rows.feed AS feed,
    released_rows.release_date AS release_date,
    released_rows.row_count AS row_count,
    DATE_DIFF(
      'SECOND',
      DATE_TRUNC('SECOND', released_rows.day_ended_at),
      DATE_TRUNC('SECOND', released_rows.released_at)
    ) AS event_seconds,
    GREATEST(
      DATE_DIFF(
        'SECOND',
        DATE_TRUNC('SECOND', released_rows.landed_at),
        DATE_TRUNC('SECOND', released_rows.released_at)
      ),
      0
    ) AS landing_seconds
  FROM released_rows AS released_rows
  WHERE
    NOT released_rows.feed IS NULL AND NOT released_rows.released_at IS NULL
), shares AS (
  SELECT
    lags.feed AS feed,
    lags.release_date AS release_date,
    lags.row_count AS row_count,
    lags.event_seconds AS event_seconds,
    lags.landing_seconds AS landing_seconds,
    SUM(lags.row_count) OVER (PARTITION BY lags.feed, lags.release_date ORDER BY lags.event_seconds)::DOUBLE / NULLIF(SUM(lags.row_count) OVER (PARTITION BY lags.feed, lags.release_date), 0) AS event_share,
    SUM(lags.row_count) OVER (PARTITION BY lags.feed, lags.release_date ORDER BY lags.landing_seconds)::DOUBLE / NULLIF(SUM(lags.row_count) OVER (PARTITION BY lags.feed, lags.release_date), 0) AS landing_share
  FROM lags AS lags
)
SELECT
  shares.feed::TEXT AS feed, /* Name of the feed and its contract */
  shares.release_date::DATE AS release_date, /* UTC date on which the cycle began that released the rows */
  SUM(shares.row_count)::BIGINT AS row_count, /* Rows of bronze, additive; of an object that was overwritten those of its newest version */
  MIN(CASE WHEN shares.event_share >= 0.5 THEN shares.event_seconds END)::BIGINT AS p50_event_seconds, /* From the end of the UTC day of the events to the release, seconds, 50th percentile weighted by rows; NOT additive */
  MIN(CASE WHEN shares.event_share >= 0.9 THEN shares.event_seconds END)::BIGINT AS p90_event_seconds, /* Likewise, 90th percentile; NOT additive */
  MAX(shares.event_seconds)::BIGINT AS max_event_seconds, /* Likewise, maximum; NOT additive */
  MIN(CASE WHEN shares.landing_share >= 0.5 THEN shares.landing_seconds END)::BIGINT AS p50_landing_seconds, /* From the write of the object, or the end of the day if that is later, to the release, seconds, 50th percentile weighted by rows; NOT additive */
  MIN(CASE WHEN shares.landing_share >= 0.9 THEN shares.landing_seconds END)::BIGINT AS p90_landing_seconds, /* Likewise, 90th percentile; NOT additive */
  MAX(shares.landing_seconds)::BIGINT AS max_landing_seconds /* Likewise, maximum; NOT additive */
FROM shares AS shares
GROUP BY
  shares.feed,
  shares.release_date
