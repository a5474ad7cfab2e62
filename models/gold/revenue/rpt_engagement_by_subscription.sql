MODEL (
  name gold.rpt_engagement_by_subscription,
  kind FULL, /* A late play or subscription change may move customers between groups of any month */
  cron '@daily',
  owner revenue,
  description 'One row per complete month and usage band of the month before: how many of the paying customers stayed. Does usage predict renewal?',
  grain (month_date, use_band),
  tags (gold, revenue),
  audits (
    not_null(columns := (month_date, use_band, accounts, retained_accounts, retained_share)),
    not_null(
      columns := (active_days, plays, capped_seconds),
      condition := (
        use_band <> 'unknown'
      )
    ),
    unique_combination_of_columns(columns := (month_date, use_band)),
    accepted_values(
      "column" := use_band,
      is_in := ('unknown', 'none', 'occasional', 'regular', 'frequent')
    ),
    forall(criteria := (accounts > 0, retained_accounts BETWEEN 0 AND accounts))
  )
);

WITH month_use AS (
  SELECT
    DATE_TRUNC('MONTH', user_activity_daily.date)::DATE AS month_date,
    user_activity_daily.user_id AS user_id,
    COUNT(user_activity_daily.date) AS active_days,
    SUM(user_activity_daily.plays) AS plays,
    SUM(user_activity_daily.capped_seconds) AS capped_seconds
  FROM silver.user_activity_daily AS user_activity_daily
  GROUP BY
    DATE_TRUNC('MONTH', user_activity_daily.date)::DATE,
    user_activity_daily.user_id
), app_users AS (
  /* The version in force when the month of use ended; the first one with an app account counts for the time before */
  SELECT
    accounts.account_id AS account_id,
    accounts.user_id AS user_id,
    CASE
      WHEN ROW_NUMBER() OVER (PARTITION BY accounts.account_id ORDER BY accounts.valid_from) = 1
      THEN '1970-01-01'::TIMESTAMP
      ELSE accounts.valid_from
    END AS counts_from,
    COALESCE(accounts.valid_to, '9999-12-31'::TIMESTAMP) AS counts_to
  FROM silver.accounts AS accounts
  WHERE
    NOT accounts.user_id IS NULL
), first_month AS (
  SELECT
    MIN(month_use.month_date) AS month_date
  FROM month_use AS month_use
), paying_customers AS (
  SELECT
    fct_mrr_monthly.month_date AS month_date,
    fct_mrr_monthly.account_id AS account_id,
    CASE WHEN fct_mrr_monthly.closing_mrr > 0 THEN 1 ELSE 0 END AS is_retained,
    CASE
      WHEN fct_mrr_monthly.month_date > first_month.month_date
      THEN COALESCE(month_use.active_days, 0)
    END AS active_days,
    CASE
      WHEN fct_mrr_monthly.month_date > first_month.month_date
      THEN COALESCE(month_use.plays, 0)
    END AS plays,
    CASE
      WHEN fct_mrr_monthly.month_date > first_month.month_date
      THEN COALESCE(month_use.capped_seconds, 0)
    END AS capped_seconds
  FROM gold.fct_mrr_monthly AS fct_mrr_monthly
  INNER JOIN app_users AS app_users
    ON fct_mrr_monthly.account_id = app_users.account_id
    AND fct_mrr_monthly.month_date >= app_users.counts_from
    AND fct_mrr_monthly.month_date < app_users.counts_to
  CROSS JOIN first_month AS first_month
  LEFT JOIN month_use AS month_use
    ON app_users.user_id = month_use.user_id
    AND fct_mrr_monthly.month_date = (
      month_use.month_date + INTERVAL '1' MONTH
    )::DATE
  WHERE
    fct_mrr_monthly.opening_mrr > 0
), banded_customers AS (
  SELECT
    paying_customers.month_date AS month_date,
    CASE
      WHEN paying_customers.active_days IS NULL
      THEN 'unknown'
      WHEN paying_customers.active_days = 0
      THEN 'none'
      WHEN paying_customers.active_days < @regular_use_days
      THEN 'occasional'
      WHEN paying_customers.active_days < @frequent_use_days
      THEN 'regular'
      ELSE 'frequent'
    END AS use_band,
    paying_customers.account_id AS account_id,
    paying_customers.is_retained AS is_retained,
    paying_customers.active_days AS active_days,
    paying_customers.plays AS plays,
    paying_customers.capped_seconds AS capped_seconds
  FROM paying_customers AS paying_customers
), band_totals AS (
  SELECT
    banded_customers.month_date AS month_date,
    banded_customers.use_band AS use_band,
    COUNT(banded_customers.account_id) AS accounts,
    SUM(banded_customers.is_retained) AS retained_accounts,
    SUM(banded_customers.active_days) AS active_days,
    SUM(banded_customers.plays) AS plays,
    SUM(banded_customers.capped_seconds) AS capped_seconds
  FROM banded_customers AS banded_customers
  GROUP BY
    banded_customers.month_date,
    banded_customers.use_band
), month_totals AS (
  SELECT
    band_totals.month_date AS month_date,
    SUM(band_totals.accounts) AS accounts,
    SUM(band_totals.retained_accounts) AS retained_accounts
  FROM band_totals AS band_totals
  GROUP BY
    band_totals.month_date
)
SELECT
  band_totals.month_date::DATE AS month_date, /* First day of the month in which the customers could churn */
  band_totals.use_band::TEXT AS use_band, /* Days with a play in the month before: unknown before the first event, none, occasional, regular from regular_use_days on, frequent from frequent_use_days on */
  band_totals.accounts::BIGINT AS accounts, /* Customers with MRR at the end of the month before and an app account, additive */
  band_totals.retained_accounts::BIGINT AS retained_accounts, /* Of these, customers with MRR at the end of the month, additive */
  band_totals.active_days::BIGINT AS active_days, /* Days with a play in the month before, summed over customers, additive; NULL if unknown */
  band_totals.plays::BIGINT AS plays, /* Plays in the month before, additive; NULL if unknown */
  band_totals.capped_seconds::DOUBLE AS capped_seconds, /* Seconds played in the month before, each play clamped between 0 and play_cap_seconds, additive; NULL if unknown */
  (
    band_totals.retained_accounts::DOUBLE / NULLIF(band_totals.accounts, 0)::DOUBLE
  )::DOUBLE AS retained_share, /* Share of the customers that stayed, 0 to 1 */
  (
    month_totals.retained_accounts::DOUBLE / NULLIF(month_totals.accounts, 0)::DOUBLE
  )::DOUBLE AS month_retained_share /* retained_share over all customers of the month, for comparison */
FROM band_totals AS band_totals
INNER JOIN month_totals AS month_totals
  ON band_totals.month_date = month_totals.month_date
