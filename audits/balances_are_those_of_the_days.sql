AUDIT (
  name balances_are_those_of_the_days
);

/* The closing balance of a customer equals that of the last day of the month, each currency at the month's rate */
WITH last_days AS (
  SELECT
    DATE_TRUNC('MONTH', fct_mrr_daily.date)::DATE AS month_date,
    fct_mrr_daily.account_id AS account_id,
    SUM(ROUND(fct_mrr_daily.mrr::DECIMAL(19, 6) * exchange_rates.rate, 6)) AS mrr
  FROM gold.fct_mrr_daily AS fct_mrr_daily
  INNER JOIN silver.exchange_rates AS exchange_rates
    ON fct_mrr_daily.currency = exchange_rates.currency
    AND fct_mrr_daily.date >= exchange_rates.valid_from
    AND (
      fct_mrr_daily.date < exchange_rates.valid_to OR exchange_rates.valid_to IS NULL
    )
  WHERE
    EXTRACT(DAY FROM fct_mrr_daily.date + INTERVAL '1' DAY) = 1
    AND @IS_CHANGED(@this_model, fct_mrr_daily.account_id)
  GROUP BY
    DATE_TRUNC('MONTH', fct_mrr_daily.date)::DATE,
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
