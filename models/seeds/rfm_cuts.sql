MODEL (
  name seeds.rfm_cuts,
  kind SEED (
    path '$root/seeds/rfm_cuts.csv'
  ),
  owner shop,
  description 'One row per measure and score of customers: the values that have it.',
  grain (measure, score),
  tags (seeds, shop),
  columns (
    measure TEXT,
    score INT,
    from_value INT,
    to_value INT
  ),
  column_descriptions (
    measure = 'recency in days, frequency in orders, or monetary in the reporting currency',
    score = '1 to 5, the best',
    from_value = 'Least value, inclusive; NULL for none',
    to_value = 'Greatest value, exclusive; NULL for none'
  ),
  audits (
    not_null(columns := (measure, score)),
    unique_combination_of_columns(columns := (measure, score)),
    accepted_values("column" := measure, is_in := ('recency', 'frequency', 'monetary')),
    forall(
      criteria := (
        score BETWEEN 1 AND 5,
        COALESCE(from_value < to_value, TRUE),
        NOT from_value IS NULL OR NOT to_value IS NULL
      )
    )
  )
)
