MODEL (
  name gold.fct_mrr_daily,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column date
  ), /* A new day computes one day. A late change affects every later day, hence the tag */
  cron '@daily',
  owner revenue,
  description 'One row per day, customer and currency with recurring revenue at the end of the day; customers without any have no row.',
  grain (date, account_id, currency),
  tags (gold, revenue, affects_onward),
  partitioned_by date,
  audits (
    not_null(columns := (date, account_id, currency, mrr, paying_subscriptions)),
    unique_combination_of_columns(columns := (date, account_id, currency)),
    forall(criteria := (mrr > 0, paying_subscriptions > 0))
  )
);

WITH days AS (
  @DATE_SPINE('day', @start_ds, @end_ds)
)
SELECT
  days.date_day::DATE AS date, /* Calendar day; its end is the following midnight UTC, exclusive */
  subscriptions.account_id::TEXT AS account_id, /* Customer, key of gold.dim_account */
  subscriptions.currency::TEXT AS currency, /* Currency of mrr, ISO 4217 */
  COUNT(subscriptions.subscription_id)::BIGINT AS paying_subscriptions, /* Subscriptions with MRR, additive over customers, not over days */
  SUM(subscriptions.mrr)::DECIMAL(18, 6) AS mrr /* Monthly recurring revenue at the end of the day, major units of the currency */
FROM days AS days
INNER JOIN silver.subscriptions AS subscriptions
  ON subscriptions.valid_from < days.date_day + INTERVAL '1' DAY
  AND (
    subscriptions.valid_to /* A period that ends at that midnight still counts */ >= days.date_day + INTERVAL '1' DAY
    OR subscriptions.valid_to IS NULL
  )
WHERE
  subscriptions.mrr > 0
GROUP BY
  days.date_day,
  subscriptions.account_id,
  subscriptions.currency
