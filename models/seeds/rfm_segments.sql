MODEL (
  name seeds.rfm_segments,
  kind SEED (
    path '$root/seeds/rfm_segments.csv'
  ),
  owner shop,
  description 'One row per pair of recency and frequency scores: the segment of customers who have it.',
  grain (recency_score, frequency_score),
  tags (seeds, shop),
  columns (
    recency_score INT,
    frequency_score INT,
    segment TEXT
  ),
  column_descriptions (
    recency_score = 'Score of the days since the last order, 1 to 5, the best',
    frequency_score = 'Score of the orders of twelve months, 1 to 5, the best',
    segment = 'Name of the segment, lower case'
  ),
  audits (
    not_null(columns := (recency_score, frequency_score, segment)),
    unique_combination_of_columns(columns := (recency_score, frequency_score)),
    number_of_rows(threshold := 24), /* All 25 pairs, so that no customer is without a segment */
    forall(
      criteria := (
        recency_score BETWEEN 1 AND 5,
        frequency_score BETWEEN 1 AND 5,
        NOT segment IN ('prospect', 'none')
      )
    )
  )
)
