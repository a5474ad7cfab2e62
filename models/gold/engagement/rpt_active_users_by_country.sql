MODEL (
  name gold.rpt_active_users_by_country,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A late play changes the windows that end on the following 27 days, hence the tag */
  cron '@daily',
  owner engagement,
  description 'One row per day, kind of user and country with a user active within 28 days: how many were active on the day, within 7 and within 28 days.',
  grain (date, user_kind, country_code),
  tags (gold, engagement, affects_27_days),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        date,
        user_kind,
        daily_active_users,
        weekly_active_users,
        monthly_active_users,
        active_user_days,
        stickiness
      )
    ),
    unique_combination_of_columns(columns := (date, user_kind, country_code)),
    forall(
      criteria := (
        daily_active_users BETWEEN 0 AND weekly_active_users,
        weekly_active_users <= monthly_active_users,
        monthly_active_users BETWEEN 1 AND active_user_days,
        active_user_days <= 28 * monthly_active_users
      )
    )
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), active_days AS (
  SELECT
    active_users.date AS date,
    active_users.user_kind AS user_kind,
    active_users.country_code AS country_code,
    LEAD(active_users.date) OVER (
      PARTITION BY active_users.user_kind, active_users.user_key, active_users.country_code
      ORDER BY active_users.date
    ) AS next_date
  FROM gold.fct_active_users_daily AS active_users
  WHERE
    active_users.date BETWEEN (
      @start_date - INTERVAL '27' DAY
    )::DATE AND @end_date
), spans AS (
  /* Users by the days until they were active again: within a window only the last active day of each counts */
  SELECT
    active_days.date AS date,
    active_days.user_kind AS user_kind,
    active_days.country_code AS country_code,
    COALESCE(DATE_DIFF('DAY', active_days.date, active_days.next_date), 28) AS days_to_next,
    COUNT(*) AS users
  FROM active_days AS active_days
  GROUP BY
    active_days.date,
    active_days.user_kind,
    active_days.country_code,
    COALESCE(DATE_DIFF('DAY', active_days.date, active_days.next_date), 28)
), aged_spans AS (
  SELECT
    days.date_day::DATE AS date,
    spans.user_kind AS user_kind,
    spans.country_code AS country_code,
    DATE_DIFF('DAY', spans.date, days.date_day::DATE) AS age,
    spans.days_to_next AS days_to_next,
    spans.users AS users
  FROM days AS days
  INNER JOIN spans AS spans
    ON spans.date <= days.date_day AND spans.date >= days.date_day - INTERVAL '27' DAY
), windows AS (
  SELECT
    aged_spans.date AS date,
    aged_spans.user_kind AS user_kind,
    aged_spans.country_code AS country_code,
    SUM(CASE WHEN aged_spans.age = 0 THEN aged_spans.users ELSE 0 END) AS daily_active_users,
    SUM(
      CASE
        WHEN aged_spans.age < 7 AND aged_spans.age < aged_spans.days_to_next
        THEN aged_spans.users
        ELSE 0
      END
    ) AS weekly_active_users,
    SUM(
      CASE WHEN aged_spans.age < aged_spans.days_to_next THEN aged_spans.users ELSE 0 END
    ) AS monthly_active_users,
    SUM(aged_spans.users) AS active_user_days
  FROM aged_spans AS aged_spans
  GROUP BY
    aged_spans.date,
    aged_spans.user_kind,
    aged_spans.country_code
)
SELECT
  windows.date::DATE AS date, /* UTC date on which the windows end */
  windows.user_kind::TEXT AS user_kind, /* account or child; the two are never added */
  windows.country_code::TEXT AS country_code, /* Country of the account; NULL if the account is unknown */
  windows.daily_active_users::BIGINT AS daily_active_users, /* DAU: users active on the day; NOT additive over days */
  windows.weekly_active_users::BIGINT AS weekly_active_users, /* WAU: users active on at least one of 7 days; NOT additive over days */
  windows.monthly_active_users::BIGINT AS monthly_active_users, /* MAU: users active on at least one of 28 days; NOT additive over days */
  windows.active_user_days::BIGINT AS active_user_days, /* Sum of daily_active_users over the 28 days; NOT additive over days */
  (
    windows.active_user_days::DOUBLE / NULLIF(28 * windows.monthly_active_users, 0)::DOUBLE
  )::DOUBLE AS stickiness /* Mean DAU of the 28 days ÷ MAU, 0 to 1; NOT additive */
FROM windows AS windows
