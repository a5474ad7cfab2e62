AUDIT (
  name balances_are_those_of_the_days
);

/* The closing balance of a customer equals that of the last day of the month, each currency at the month's rate */
WITH month_rates AS (
  /* One rate per month and currency, so that customers join by equality, and days before the last one are not read */
  SELECT
    dim_month.month_date AS month_date,
    dim_month.last_date AS last_date,
    exchange_rates.currency AS currency,
    exchange_rates.rate AS rate
  FROM gold.dim_month AS dim_month
  INNER JOIN silver.exchange_rates AS exchange_rates
    ON dim_month.last_date >= exchange_rates.valid_from
    AND (
      dim_month.last_date < exchange_rates.valid_to OR exchange_rates.valid_to IS NULL
    )
), last_days AS (
  SELECT
    month_rates.month_date AS month_date,
    fct_mrr_daily.account_id AS account_id,
    SUM(ROUND(fct_mrr_daily.mrr::DECIMAL(19, 6) * month_rates.rate, 6)) AS mrr
  FROM gold.fct_mrr_daily AS fct_mrr_daily
  INNER JOIN month_rates AS month_rates
    ON fct_mrr_daily.date = month_rates.last_date
    AND fct_mrr_daily.currency = month_rates.currency
  WHERE
    @IS_CHANGED(@this_model, fct_mrr_daily.account_id)
  GROUP BY
    month_rates.month_date,
    fct_mrr_daily.account_id
)
SELECT
  COALESCE(balances.month_date, last_days.month_date) AS month_date,
  COALESCE(balances.account_id, last_days.account_id) AS account_id,
  balances.closing_mrr AS closing_mrr,
  last_days.mrr AS last_day_mrr
FROM (
  SELECT
    months.month_date AS month_date,
    months.account_id AS account_id,
    months.closing_mrr AS closing_mrr
  FROM @this_model AS months
  WHERE
    @IS_CHANGED(@this_model, months.account_id)
) AS balances
FULL JOIN last_days AS last_days
  ON balances.month_date = last_days.month_date
  AND balances.account_id = last_days.account_id
WHERE
  COALESCE(balances.closing_mrr, 0) <> COALESCE(last_days.mrr, 0)
