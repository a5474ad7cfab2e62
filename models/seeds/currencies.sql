MODEL (
  name seeds.currencies,
  kind SEED (
    path '$root/seeds/currencies.csv'
  ),
  owner revenue,
  description 'One row per billing currency.',
  grain currency,
  tags (seeds, revenue),
  columns (
    currency TEXT,
    currency_name TEXT,
    digits INT
  ),
  column_descriptions (
    currency = 'ISO 4217 code, upper case',
    currency_name = 'Name of the currency in English',
    digits = 'Decimal digits of the minor unit by ISO 4217: 2 for the euro and its cents, 0 for the yen'
  ),
  audits (
    not_null(columns := (currency, currency_name, digits)),
    unique_values(columns := currency),
    accepted_range("column" := digits, min_v := 0, max_v := 4)
  )
)
