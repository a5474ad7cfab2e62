MODEL (
  name gold.dim_month,
  kind VIEW,
  cron '@daily',
  owner revenue,
  description 'One row per complete month: one whose last day is computed, whatever the clock says.',
  grain month_date,
  tags (gold, revenue),
  audits (
    not_null(columns := (month_date, last_date)),
    unique_values(columns := month_date)
  )
);

SELECT
  DATE_TRUNC('MONTH', rpt_mrr_daily.date)::DATE AS month_date, /* First day of the month */
  rpt_mrr_daily.date::DATE AS last_date /* Last day of the month */
FROM gold.rpt_mrr_daily AS rpt_mrr_daily
WHERE
  EXTRACT(DAY FROM rpt_mrr_daily.date + INTERVAL '1' DAY) = 1
