MODEL (
  name gold.rpt_conversion_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* As gold.rpt_funnel_daily: a late click computes four dates again. A day without sessions has its row too */
  cron '@daily',
  owner shop,
  description 'One row per computed business date: sessions, those with a purchase, visitors and clicks.',
  grain business_date,
  tags (gold, shop, affects_1_days),
  partitioned_by date,
  audits (
    not_null(columns := (date, business_date, sessions, purchase_sessions, visitors, clicks)),
    unique_values(columns := date),
    unique_values(columns := business_date),
    forall(
      criteria := (
        purchase_sessions BETWEEN 0 AND sessions,
        visitors BETWEEN 0 AND sessions,
        clicks >= sessions,
        sessions = 0 OR conversion_rate BETWEEN 0 AND 1
      )
    )
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), business_dates AS (
  /* The business date that ends on a UTC date is the one in which that begins */
  SELECT
    days.date_day::DATE AS date,
    @BUSINESS_TIME(days.date_day::TIMESTAMP)::DATE AS business_date
  FROM days AS days
), totals AS (
  SELECT
    sessions.business_date AS business_date,
    COUNT(sessions.session_key) AS sessions,
    COUNT(CASE WHEN sessions.has_purchase THEN sessions.session_key END) AS purchase_sessions,
    COUNT(DISTINCT sessions.visitor_key) AS visitors,
    SUM(sessions.clicks) AS clicks
  FROM gold.fct_sessions AS sessions
  WHERE
    sessions.date BETWEEN (
      @start_date - INTERVAL '1' DAY
    )::DATE AND @end_date
  GROUP BY
    sessions.business_date
)
SELECT
  business_dates.date::DATE AS date, /* UTC date on which the business date ends */
  business_dates.business_date::DATE AS business_date, /* Date of the first clicks in reporting_timezone */
  COALESCE(totals.sessions, 0)::BIGINT AS sessions, /* Sessions, additive */
  COALESCE(totals.purchase_sessions, 0)::BIGINT AS purchase_sessions, /* Sessions with a purchase, whatever the way there, additive */
  COALESCE(totals.visitors, 0)::BIGINT AS visitors, /* Visitors with a session; NOT additive */
  COALESCE(totals.clicks, 0)::BIGINT AS clicks, /* Clicks of these sessions, additive */
  (
    totals.purchase_sessions::DOUBLE / NULLIF(totals.sessions, 0)::DOUBLE
  )::DOUBLE AS conversion_rate /* purchase_sessions / sessions, 0 to 1; NULL without sessions; NOT additive */
FROM business_dates AS business_dates
LEFT JOIN totals AS totals
  ON business_dates.business_date = totals.business_date
