MODEL (
  name gold.dim_business_month,
  kind VIEW,
  cron '@daily',
  owner shop,
  description 'One row per complete month of the shop: one whose last business date is computed, whatever the clock says.',
  grain month_date,
  tags (gold, shop),
  audits (
    not_null(columns := (month_date, last_date)),
    unique_values(columns := month_date)
  )
);

SELECT
  DATE_TRUNC('MONTH', business_dates.business_date)::DATE AS month_date, /* First day of the month */
  business_dates.business_date::DATE AS last_date /* Last day of the month */
FROM silver.business_dates AS business_dates
WHERE
  EXTRACT(DAY FROM business_dates.business_date + INTERVAL '1' DAY) = 1
