MODEL (
  name gold.dim_date,
  kind FULL, /* A few thousand rows derived from two variables: the same whenever they are computed */
  cron '@daily',
  owner revenue,
  description 'One row per day of the calendar, from calendar_start to calendar_end.',
  grain date,
  tags (gold, revenue),
  audits (
    not_null(columns := (date, month_date, is_month_end)),
    unique_values(columns := date)
  )
);

WITH days AS (
  @DATE_SPINE('day', @VAR('calendar_start'), @VAR('calendar_end'))
)
SELECT
  days.date_day::DATE AS date, /* Calendar day */
  (
    EXTRACT(YEAR FROM days.date_day) * 10000 + EXTRACT(MONTH FROM days.date_day) * 100 + EXTRACT(DAY FROM days.date_day)
  )::INT AS date_key, /* Calendar day as yyyymmdd */
  EXTRACT(YEAR FROM days.date_day)::INT AS year, /* Year */
  EXTRACT(QUARTER FROM days.date_day)::INT AS quarter, /* Quarter of the year, 1 to 4 */
  EXTRACT(MONTH FROM days.date_day)::INT AS month, /* Month of the year, 1 to 12 */
  EXTRACT(DAY FROM days.date_day)::INT AS day_of_month, /* Day of the month, 1 to 31 */
  @DAY_OF_WEEK(days.date_day)::INT AS day_of_week, /* Day of the week, 1 for Monday to 7 for Sunday */
  DATE_TRUNC('WEEK', days.date_day)::DATE AS week_date, /* Monday of the week */
  @BUSINESS_WEEK(days.date_day)::DATE AS business_week_date, /* First day of the business week, which begins on first_day_of_week */
  DATE_TRUNC('MONTH', days.date_day)::DATE AS month_date, /* First day of the month */
  DATE_TRUNC('QUARTER', days.date_day)::DATE AS quarter_date, /* First day of the quarter */
  DATE_TRUNC('YEAR', days.date_day)::DATE AS year_date, /* First day of the year */
  (
    EXTRACT(DAY FROM days.date_day + INTERVAL '1' DAY) = 1
  )::BOOLEAN AS is_month_end /* Whether it is the last day of the month */
FROM days AS days
