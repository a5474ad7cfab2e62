MODEL (
  name gold.fct_marketing_daily,
  kind FULL, /* Like silver.marketing_spend */
  cron '@daily',
  owner shop,
  description 'One row per date, channel and campaign: spend, impressions and clicks.',
  grain (date, channel, campaign),
  tags (gold, shop),
  audits (
    not_null(columns := (date, channel, campaign, spend_amount, spend_amount_reporting)),
    unique_combination_of_columns(columns := (date, channel, campaign))
  )
);

SELECT
  marketing_spend.date::DATE AS date, /* Date of the spend on the platform, taken as a business date */
  marketing_spend.channel::TEXT AS channel, /* Channel, key of gold.dim_channel */
  marketing_spend.campaign::TEXT AS campaign, /* Name of the campaign */
  marketing_spend.currency::TEXT AS currency, /* Currency of the spend, ISO 4217, upper case */
  marketing_spend.spend_amount::DECIMAL(18, 4) AS spend_amount, /* Spend without tax, major units, additive per currency */
  ROUND(marketing_spend.spend_amount::DECIMAL(19, 6) * exchange_rates.rate, 6)::DECIMAL(18, 6) AS spend_amount_reporting, /* Spend in the reporting currency at the rate of the month, additive */
  marketing_spend.impressions::BIGINT AS impressions, /* How often the advertisements were shown, additive */
  marketing_spend.clicks::BIGINT AS clicks /* How often they were clicked, additive */
FROM silver.marketing_spend AS marketing_spend
LEFT JOIN silver.exchange_rates AS exchange_rates
  ON marketing_spend.currency = exchange_rates.currency
  AND marketing_spend.date >= exchange_rates.valid_from
  AND marketing_spend.date < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
