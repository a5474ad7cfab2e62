MODEL (
  name gold.rpt_retention,
  kind FULL, /* A late play may move its user to another cohort, and each new day completes three */
  cron '@daily',
  owner engagement,
  description 'One row per day of first activity, kind of user and 1, 7 or 30 days: how many of the users were active exactly that many days later. Cohorts whose day is not computed yet have no row.',
  grain (cohort_date, user_kind, day_number),
  tags (gold, engagement),
  audits (
    not_null(
      columns := (cohort_date, user_kind, day_number, users, retained_users, retained_share)
    ),
    unique_combination_of_columns(columns := (cohort_date, user_kind, day_number)),
    accepted_values("column" := user_kind, is_in := ('account', 'child')),
    accepted_values("column" := day_number, is_in := (1, 7, 30)),
    forall(criteria := (users > 0, retained_users BETWEEN 0 AND users))
  )
);

WITH first_days AS (
  SELECT
    active_users.user_kind AS user_kind,
    active_users.user_key AS user_key,
    MIN(active_users.date) AS cohort_date
  FROM gold.fct_active_users_daily AS active_users
  GROUP BY
    active_users.user_kind,
    active_users.user_key
), day_numbers AS (
  SELECT
    1 AS day_number
  UNION ALL
  SELECT
    7 AS day_number
  UNION ALL
  SELECT
    30 AS day_number
), cohorts AS (
  SELECT
    first_days.cohort_date AS cohort_date,
    first_days.user_kind AS user_kind,
    COUNT(first_days.user_key) AS users
  FROM first_days AS first_days
  GROUP BY
    first_days.cohort_date,
    first_days.user_kind
), mature_cohorts AS (
  /* The computed days decide, never the clock */
  SELECT
    cohorts.cohort_date AS cohort_date,
    cohorts.user_kind AS user_kind,
    day_numbers.day_number AS day_number,
    cohorts.users AS users
  FROM cohorts AS cohorts
  CROSS JOIN day_numbers AS day_numbers
  INNER JOIN gold.rpt_active_users AS computed_days
    ON cohorts.user_kind = computed_days.user_kind
    AND DATE_DIFF('DAY', cohorts.cohort_date, computed_days.date) = day_numbers.day_number
), retained AS (
  SELECT
    first_days.cohort_date AS cohort_date,
    first_days.user_kind AS user_kind,
    DATE_DIFF('DAY', first_days.cohort_date, active_users.date) AS day_number,
    COUNT(first_days.user_key) AS users
  FROM first_days AS first_days
  INNER JOIN gold.fct_active_users_daily AS active_users
    ON first_days.user_kind = active_users.user_kind
    AND first_days.user_key = active_users.user_key
  WHERE
    DATE_DIFF('DAY', first_days.cohort_date, active_users.date) IN (1, 7, 30)
  GROUP BY
    first_days.cohort_date,
    first_days.user_kind,
    DATE_DIFF('DAY', first_days.cohort_date, active_users.date)
)
SELECT
  mature_cohorts.cohort_date::DATE AS cohort_date, /* UTC date of the first activity */
  mature_cohorts.user_kind::TEXT AS user_kind, /* account or child; the two are never added */
  mature_cohorts.day_number::INT AS day_number, /* Days after the first activity: 1, 7 or 30 */
  mature_cohorts.users::BIGINT AS users, /* Users of the cohort, additive over cohorts, not over day_number */
  COALESCE(retained.users, 0)::BIGINT AS retained_users, /* Of these, users active on exactly that day, additive over cohorts, not over day_number */
  (
    COALESCE(retained.users, 0)::DOUBLE / NULLIF(mature_cohorts.users, 0)::DOUBLE
  )::DOUBLE AS retained_share /* retained_users / users, 0 to 1; NOT additive */
FROM mature_cohorts AS mature_cohorts
LEFT JOIN retained AS retained
  ON mature_cohorts.cohort_date = retained.cohort_date
  AND mature_cohorts.user_kind = retained.user_kind
  AND mature_cohorts.day_number = retained.day_number
