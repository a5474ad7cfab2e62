MODEL (
  name gold.rpt_acquisition_monthly,
  kind FULL, /* A late order, session or export may change any month, and every month may pay spend back */
  cron '@daily',
  owner shop,
  description 'One row per complete month and channel with spend or customers acquired: what a customer cost, what the first twelve months brought, and when the cost was paid back.',
  grain (month_date, channel),
  tags (gold, shop),
  audits (
    not_null(columns := (month_date, channel, customers, spend_amount, is_valued)),
    not_null(columns := margin_12_months, condition := is_valued),
    unique_combination_of_columns(columns := (month_date, channel)),
    forall(
      criteria := (
        customers >= 0,
        spend_amount >= 0,
        payback_months IS NULL OR payback_months > 0,
        payback_months IS NULL OR customers > 0
      )
    ),
    channels_are_all_acquisitions,
    channels_are_all_spend
  )
);

WITH acquisitions AS (
  SELECT
    fct_acquisitions.cohort_month_date AS month_date,
    fct_acquisitions.channel AS channel,
    COUNT(*) AS customers
  FROM gold.fct_acquisitions AS fct_acquisitions
  GROUP BY
    fct_acquisitions.cohort_month_date,
    fct_acquisitions.channel
), spend AS (
  SELECT
    DATE_TRUNC('MONTH', fct_marketing_daily.date)::DATE AS month_date,
    fct_marketing_daily.channel AS channel,
    SUM(fct_marketing_daily.spend_amount_reporting) AS spend_amount
  FROM gold.fct_marketing_daily AS fct_marketing_daily
  GROUP BY
    DATE_TRUNC('MONTH', fct_marketing_daily.date)::DATE,
    fct_marketing_daily.channel
), channels AS (
  SELECT
    COALESCE(acquisitions.month_date, spend.month_date) AS month_date,
    COALESCE(acquisitions.channel, spend.channel) AS channel,
    COALESCE(acquisitions.customers, 0) AS customers,
    COALESCE(spend.spend_amount, 0) AS spend_amount
  FROM acquisitions AS acquisitions
  FULL JOIN spend AS spend
    ON acquisitions.month_date = spend.month_date
    AND acquisitions.channel = spend.channel
), margins AS (
  /* Of their customers since the month, up to the last complete one */
  SELECT
    fct_cohort_sales_monthly.cohort_month_date AS cohort_month_date,
    fct_cohort_sales_monthly.channel AS channel,
    fct_cohort_sales_monthly.month_number AS month_number,
    SUM(fct_cohort_sales_monthly.profit_amount) OVER (
      PARTITION BY fct_cohort_sales_monthly.cohort_month_date, fct_cohort_sales_monthly.channel
      ORDER BY fct_cohort_sales_monthly.month_number
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS margin_to_date
  FROM gold.fct_cohort_sales_monthly AS fct_cohort_sales_monthly
  WHERE
    fct_cohort_sales_monthly.month_date <= (
      SELECT
        MAX(dim_business_month.month_date)
      FROM gold.dim_business_month AS dim_business_month
    )
), paybacks AS (
  SELECT
    channels.month_date AS month_date,
    channels.channel AS channel,
    MIN(margins.month_number) + 1 AS payback_months
  FROM channels AS channels
  INNER JOIN margins AS margins
    ON channels.month_date = margins.cohort_month_date
    AND channels.channel = margins.channel
    AND channels.spend_amount <= margins.margin_to_date
  WHERE
    channels.spend_amount > 0
  GROUP BY
    channels.month_date,
    channels.channel
)
SELECT
  channels.month_date::DATE AS month_date, /* First day of the month */
  channels.channel::TEXT AS channel, /* Channel, key of gold.dim_channel */
  channels.customers::BIGINT AS customers, /* Customers acquired, additive */
  channels.spend_amount::DECIMAL(18, 6) AS spend_amount, /* Spend, reporting currency, additive */
  (
    channels.spend_amount::DOUBLE / NULLIF(channels.customers, 0)::DOUBLE
  )::DOUBLE AS cac, /* spend_amount / customers, reporting currency; NULL without customers; NOT additive */
  (
    SUM(channels.spend_amount) OVER (PARTITION BY channels.month_date)::DOUBLE / NULLIF(SUM(channels.customers) OVER (PARTITION BY channels.month_date), 0)::DOUBLE
  )::DOUBLE AS blended_cac, /* Spend of all channels in the month / customers of all, reporting currency; NULL without customers; NOT additive */
  (
    NOT last_months.month_date IS NULL
  )::BOOLEAN AS is_valued, /* Whether the twelve months from the month on are complete */
  CASE
    WHEN NOT last_months.month_date IS NULL
    THEN COALESCE(rpt_customer_value.margin_12_months, 0)
  END::DECIMAL(18, 6) AS margin_12_months, /* Contribution margin of the customers in these twelve months, reporting currency, additive; NULL until they are complete */
  paybacks.payback_months::INT AS payback_months /* Months, that of the acquisition included, after which the contribution margin of the customers covers the spend; NULL until then and without spend; NOT additive */
FROM channels AS channels
INNER JOIN gold.dim_business_month AS dim_business_month
  ON channels.month_date = dim_business_month.month_date
LEFT JOIN gold.dim_business_month AS last_months
  ON last_months.month_date = (
    channels.month_date + INTERVAL '11' MONTH
  )::DATE
LEFT JOIN gold.rpt_customer_value AS rpt_customer_value
  ON channels.month_date = rpt_customer_value.cohort_month_date
  AND channels.channel = rpt_customer_value.channel
LEFT JOIN paybacks AS paybacks
  ON channels.month_date = paybacks.month_date AND channels.channel = paybacks.channel
