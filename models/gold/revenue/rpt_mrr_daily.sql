MODEL (
  name gold.rpt_mrr_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A day without customers has a row too: the newest date determines which months are complete, independently of the clock */
  cron '@daily',
  owner revenue,
  description 'One row per computed day: the recurring revenue of all customers at its end.',
  grain date,
  tags (gold, revenue),
  partitioned_by date,
  audits (
    not_null(columns := (date, accounts, mrr /* NULL where a currency has no rate */)),
    unique_values(columns := date),
    accepted_range("column" := mrr, min_v := 0)
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
), day_rates AS (
  /* One rate per day and currency, so that customers join by equality: an eighth of the time */
  SELECT
    days.date_day::DATE AS date,
    exchange_rates.currency AS currency,
    exchange_rates.rate AS rate
  FROM days AS days
  INNER JOIN silver.exchange_rates AS exchange_rates
    ON days.date_day >= exchange_rates.valid_from
    AND (
      days.date_day < exchange_rates.valid_to OR exchange_rates.valid_to IS NULL
    )
), valued_days AS (
  SELECT
    fct_mrr_daily.date AS date,
    COUNT(DISTINCT fct_mrr_daily.account_id) AS accounts,
    CASE
      WHEN COUNT(*) = COUNT(day_rates.rate)
      THEN SUM(ROUND(fct_mrr_daily.mrr::DECIMAL(19, 6) * day_rates.rate, 6))
    END AS mrr
  FROM gold.fct_mrr_daily AS fct_mrr_daily
  LEFT JOIN day_rates AS day_rates
    ON fct_mrr_daily.date = day_rates.date
    AND fct_mrr_daily.currency = day_rates.currency
  WHERE
    fct_mrr_daily.date BETWEEN @start_date AND @end_date
  GROUP BY
    fct_mrr_daily.date
)
SELECT
  days.date_day::DATE AS date, /* Calendar day; its end is the following midnight UTC, exclusive */
  COALESCE(valued_days.accounts, 0)::BIGINT AS accounts, /* Customers with MRR */
  CASE WHEN valued_days.date IS NULL THEN 0 ELSE valued_days.mrr END::DECIMAL(18, 6) AS mrr /* Monthly recurring revenue at the end of the day, reporting currency at the rate of the month */
FROM days AS days
LEFT JOIN valued_days AS valued_days
  ON days.date_day::DATE = valued_days.date
