MODEL (
  name silver.exchange_rates,
  kind FULL, /* A few hundred rows of a seed */
  cron '@daily',
  owner revenue,
  description 'One row per currency and period of months in which one rate to the reporting currency applies.',
  grain (currency, valid_from),
  tags (silver, revenue),
  audits (
    not_null(columns := (currency, rate, valid_from)),
    unique_combination_of_columns(columns := (currency, valid_from)),
    number_of_rows(threshold := 1), /* At least two rows: without rates of the reporting currency no amount could be converted */
    periods_join(key := currency)
  )
);

SELECT
  exchange_rates.currency::TEXT AS currency, /* Currency of the amount, ISO 4217 */
  exchange_rates.rate::DECIMAL(18, 8) AS rate, /* Value of one unit in the reporting currency */
  exchange_rates.month_date::DATE AS valid_from, /* First day on which the rate applies */
  LEAD(exchange_rates.month_date) OVER (PARTITION BY exchange_rates.currency ORDER BY exchange_rates.month_date)::DATE AS valid_to /* First day on which it no longer applies; NULL for the newest rate */
FROM seeds.exchange_rates AS exchange_rates
WHERE
  exchange_rates.reporting_currency = @VAR('reporting_currency')
