MODEL (
  name silver.marketing_spend,
  kind FULL, /* A new export replaces rows of any date */
  cron '@daily',
  owner shop,
  description 'One row per date, channel and campaign: the spend of its newest export.',
  grain (date, channel, campaign),
  tags (silver, shop),
  audits (
    not_null(columns := (date, channel, campaign, spend_amount, currency)),
    unique_combination_of_columns(columns := (date, channel, campaign))
  )
);

SELECT
  marketing_spend.spend_date::DATE AS date, /* Date of the spend on the platform, taken as a business date */
  marketing_spend.channel::TEXT AS channel, /* Channel, key of gold.dim_channel */
  marketing_spend.campaign::TEXT AS campaign, /* Name of the campaign */
  marketing_spend.currency::TEXT AS currency, /* Currency of the spend, ISO 4217, upper case */
  marketing_spend.amount::DECIMAL(18, 4) AS spend_amount, /* Spend without tax, major units of the currency */
  marketing_spend.impressions::BIGINT AS impressions, /* How often the advertisements were shown */
  marketing_spend.clicks::BIGINT AS clicks /* How often they were clicked */
FROM bronze.marketing_spend AS marketing_spend
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY marketing_spend.spend_date, marketing_spend.channel, marketing_spend.campaign
    ORDER BY marketing_spend.exported_at DESC, marketing_spend._source_modified_at DESC, marketing_spend._source_file DESC, marketing_spend._source_line DESC
  ) = 1
