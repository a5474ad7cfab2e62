MODEL (
  name seeds.prices,
  kind SEED (
    path '$root/seeds/prices.csv'
  ),
  owner platform,
  description 'One row per price and the date from which it is valid: list prices, to be replaced by your own.',
  grain (name, valid_from),
  tags (seeds, pipeline),
  columns (
    name TEXT,
    unit TEXT,
    units INT,
    price_usd DOUBLE,
    valid_from DATE,
    source TEXT
  ),
  column_descriptions (
    name = 'What is priced: cpu, memory, model, or the scheme of a store and what is done there; disk is a folder',
    unit = 'Unit of what is used; of GB month the days of the month are counted',
    units = 'Number of units that the price is for',
    price_usd = 'Price of that many units, US dollars, without tax',
    valid_from = 'First UTC date with this price',
    source = 'Where the price comes from: the page of the provider and the date'
  ),
  audits (
    not_null(columns := (name, unit, units, price_usd, valid_from, source)),
    unique_combination_of_columns(columns := (name, valid_from)),
    accepted_range("column" := price_usd, min_v := 0),
    accepted_range("column" := units, min_v := 1),
    forall(criteria := (
      LENGTH(TRIM(source)) > 10
    ))
  )
)
