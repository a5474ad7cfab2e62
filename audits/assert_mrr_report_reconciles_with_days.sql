AUDIT (
  name assert_mrr_report_reconciles_with_days,
  standalone TRUE,
  cron '@daily',
  owner revenue,
  defaults (scope = 'all_dates'),
  description 'No rows: the closing MRR of every reported month equals the MRR of the customers at the end of its last day.'
);

WITH last_days AS (
  SELECT
    DATE_TRUNC('MONTH', fct_mrr_daily.date)::DATE AS month_date,
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
  GROUP BY
    DATE_TRUNC('MONTH', fct_mrr_daily.date)::DATE
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
