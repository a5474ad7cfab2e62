MODEL (
  name silver.marketing_spend,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column spend_date
  ), /* The date is part of the key, so every version of a row lies on its date, which the contract names in dates: a restated row computes its date again */
  cron '@daily',
  owner shop,
  description 'One row per date, channel and campaign with marketing spend, as the newest export states it.',
  grain (spend_date, channel, campaign),
  tags (silver, shop),
  partitioned_by spend_date,
  signals (
    feed_is_complete(feed := 'marketing_spend')
  ),
  audits (
    not_null(columns := (spend_date, channel, campaign, currency, amount, exported_at)),
    unique_combination_of_columns(columns := (spend_date, channel, campaign))
  )
);

/* Without the object of a row: the same export in another object changes no date, so it must not change a row */
SELECT
  spend.spend_date::DATE AS spend_date, /* Date of the spend on the platform, taken as a business date */
  spend.channel::TEXT AS channel, /* Channel, key of seeds.channel_groups */
  spend.campaign::TEXT AS campaign, /* Name of the campaign, as in utm_campaign */
  spend.currency::TEXT AS currency, /* Currency of amount, ISO 4217, upper case */
  spend.amount::DECIMAL(12, 2) AS amount, /* Spend without tax, major units of the currency */
  spend.impressions::BIGINT AS impressions, /* How often the advertisements were shown; NULL if unknown */
  spend.clicks::BIGINT AS clicks, /* How often they were clicked; NULL if unknown */
  spend.exported_at::TIMESTAMP AS exported_at /* When the platform wrote the export, UTC */
FROM bronze.marketing_spend AS spend
WHERE
  spend.spend_date BETWEEN @start_date AND @end_date
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY spend.spend_date, spend.channel, spend.campaign
    ORDER BY spend.exported_at DESC, spend._source_modified_at DESC, spend._source_file DESC, spend._source_line DESC
  ) = 1
