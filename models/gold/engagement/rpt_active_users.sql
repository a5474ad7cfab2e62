MODEL (
  name gold.rpt_active_users,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A day without users has its rows too: they determine which cohorts are complete, independently of the clock */
  cron '@daily',
  owner engagement,
  description 'One row per computed day and kind of user: how many were active on the day, within 7 and within 28 days.',
  grain (date, user_kind),
  tags (gold, engagement),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        date,
        user_kind,
        daily_active_users,
        weekly_active_users,
        monthly_active_users,
        active_user_days
      )
    ),
    unique_combination_of_columns(columns := (date, user_kind)),
    accepted_values("column" := user_kind, is_in := ('account', 'child')),
    forall(
      criteria := (
        daily_active_users BETWEEN 0 AND weekly_active_users,
        weekly_active_users <= monthly_active_users,
        monthly_active_users <= active_user_days,
        active_user_days <= 28 * monthly_active_users
      )
    )
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), user_kinds AS (
  SELECT
    'account' AS user_kind
  UNION ALL
  SELECT
    'child' AS user_kind
), all_countries AS (
  /* An account has one country, so that no user is counted twice */
  SELECT
    by_country.date AS date,
    by_country.user_kind AS user_kind,
    SUM(by_country.daily_active_users) AS daily_active_users,
    SUM(by_country.weekly_active_users) AS weekly_active_users,
    SUM(by_country.monthly_active_users) AS monthly_active_users,
    SUM(by_country.active_user_days) AS active_user_days
  FROM gold.rpt_active_users_by_country AS by_country
  WHERE
    by_country.date BETWEEN @start_date AND @end_date
  GROUP BY
    by_country.date,
    by_country.user_kind
)
SELECT
  days.date_day::DATE AS date, /* UTC date on which the windows end */
  user_kinds.user_kind::TEXT AS user_kind, /* account or child; the two are never added */
  COALESCE(all_countries.daily_active_users, 0)::BIGINT AS daily_active_users, /* DAU: users active on the day; NOT additive */
  COALESCE(all_countries.weekly_active_users, 0)::BIGINT AS weekly_active_users, /* WAU: users active on at least one of 7 days; NOT additive */
  COALESCE(all_countries.monthly_active_users, 0)::BIGINT AS monthly_active_users, /* MAU: users active on at least one of 28 days; NOT additive */
  COALESCE(all_countries.active_user_days, 0)::BIGINT AS active_user_days, /* Sum of daily_active_users over the 28 days; NOT additive */
  (
    all_countries.active_user_days::DOUBLE / NULLIF(28 * all_countries.monthly_active_users, 0)::DOUBLE
  )::DOUBLE AS stickiness /* Mean DAU of the 28 days ÷ MAU, 0 to 1; NULL without users; NOT additive */
FROM days AS days
CROSS JOIN user_kinds AS user_kinds
LEFT JOIN all_countries AS all_countries
  ON days.date_day::DATE = all_countries.date
  AND user_kinds.user_kind = all_countries.user_kind
