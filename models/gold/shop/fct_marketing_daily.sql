MODEL (
  name gold.fct_marketing_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A restated date is computed again, once silver.marketing_spend has it */
  cron '@daily',
  owner shop,
  description 'One row per date, channel and campaign: what the advertising cost and how it was received.',
  grain (date, channel, campaign),
  tags (gold, shop),
  partitioned_by date,
  audits (
    not_null(
      columns := (
        date,
        channel,
        campaign,
        currency,
        spend_amount,
        spend_amount_reporting /* NULL where a currency has no rate */
      )
    ),
    unique_combination_of_columns(columns := (date, channel, campaign)),
    referential_integrity(child := channel, parent := seeds.channel_groups, key := channel)
  ),
  depends_on (
    seeds.channel_groups
  ) /* For the audit that looks channels up */
);

SELECT
  marketing_spend.spend_date::DATE AS date, /* Date of the spend on the platform, taken as a business date */
  marketing_spend.channel::TEXT AS channel, /* Channel, key of gold.dim_channel */
  marketing_spend.campaign::TEXT AS campaign, /* Name of the campaign, as in the sessions' utm_campaign */
  marketing_spend.currency::TEXT AS currency, /* Currency of spend_amount, ISO 4217, upper case */
  marketing_spend.amount::DECIMAL(12, 2) AS spend_amount, /* Spend without tax, major units, additive per currency */
  ROUND(marketing_spend.amount::DECIMAL(19, 6) * exchange_rates.rate, 6)::DECIMAL(18, 6) AS spend_amount_reporting, /* Spend in the reporting currency at the rate of its month, additive */
  marketing_spend.impressions::BIGINT AS impressions, /* How often the advertisements were shown, additive; NULL if unknown */
  marketing_spend.clicks::BIGINT AS clicks /* How often they were clicked, by the platform, additive; NULL if unknown */
FROM silver.marketing_spend AS marketing_spend
LEFT JOIN silver.exchange_rates AS exchange_rates
  ON marketing_spend.currency = exchange_rates.currency
  AND marketing_spend.spend_date >= exchange_rates.valid_from
  AND marketing_spend.spend_date < COALESCE(exchange_rates.valid_to, '9999-12-31'::DATE)
WHERE
  marketing_spend.spend_date BETWEEN @start_date AND @end_date
