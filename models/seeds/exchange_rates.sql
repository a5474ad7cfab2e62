MODEL (
  name seeds.exchange_rates,
  kind SEED (
    path '$root/seeds/exchange_rates.csv'
  ),
  owner revenue,
  description 'One row per month, currency and reporting currency: the rate of the month. Plausible figures, not quoted rates: replace them with those of your bank.',
  grain (month_date, currency, reporting_currency),
  tags (seeds, revenue),
  columns (
    month_date DATE,
    currency TEXT,
    reporting_currency TEXT,
    rate DECIMAL(18, 8)
  ),
  column_descriptions (
    month_date = 'First day of the month',
    currency = 'Currency of the amount, ISO 4217, upper case',
    reporting_currency = 'Currency to convert to, ISO 4217, upper case; the variable reporting_currency selects one',
    rate = 'Value of one unit of the currency in the reporting currency; applies until a later month has a rate'
  ),
  audits (
    not_null(columns := (month_date, currency, reporting_currency, rate)),
    unique_combination_of_columns(columns := (month_date, currency, reporting_currency)),
    accepted_range("column" := rate, min_v := 0, inclusive := FALSE),
    forall(criteria := (
      CAST(DATE_TRUNC('MONTH', month_date) AS DATE) = month_date
    ))
  )
)
