MODEL (
  name silver.business_dates,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ),
  cron '@daily',
  owner shop,
  description 'One row per computed UTC date: the business date of the shop that ends on it.',
  grain date,
  tags (silver, shop),
  partitioned_by date,
  audits (not_null(columns := (date, business_date)), unique_values(columns := date))
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
)
SELECT
  days.date_day::DATE AS date, /* UTC date */
  @BUSINESS_TIME(days.date_day::TIMESTAMP)::DATE AS business_date /* Business date that ends on it: the one in which it begins, by the clock of reporting_timezone */
FROM days AS days
