AUDIT (
  name assert_mrr_report_reconciles_with_days,
  standalone TRUE,
  cron '@daily',
  owner revenue,
  defaults (scope = 'all_dates'),
  description 'No rows: the closing MRR of every reported month equals the MRR of the customers at the end of its last day.'
);

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
    SUM(ROUND(fct_mrr_daily.mrr::DECIMAL(19, 6) * month_rates.rate, 6)) AS mrr
  FROM gold.fct_mrr_daily AS fct_mrr_daily
  INNER JOIN month_rates AS month_rates
    ON fct_mrr_daily.date = month_rates.last_date
    AND fct_mrr_daily.currency = month_rates.currency
  GROUP BY
    month_rates.month_date
)
SELECT
  COALESCE(rpt_mrr_monthly.month_date, last_days.month_date) AS month_date,
  rpt_mrr_monthly.closing_mrr AS closing_mrr,
  last_days.mrr AS last_day_mrr
FROM gold.rpt_mrr_monthly AS rpt_mrr_monthly
FULL JOIN last_days AS last_days
  ON rpt_mrr_monthly.month_date = last_days.month_date
WHERE
  COALESCE(rpt_mrr_monthly.closing_mrr, 0) <> COALESCE(last_days.mrr, 0)
