MODEL (
  name gold.rpt_product_recommendations,
  kind FULL, /* A late order may change the baskets of every month: counts the pairs of a year's baskets once per month */
  cron '@daily',
  owner shop,
  description 'One row per complete month of the last twelve, product and place: what to recommend beside the product.',
  grain (month_date, product_id, rank),
  tags (gold, shop),
  audits (
    not_null(columns := (month_date, product_id, rank, recommended_product_id, basis)),
    unique_combination_of_columns(columns := (month_date, product_id, rank)),
    unique_combination_of_columns(columns := (month_date, product_id, recommended_product_id)),
    accepted_values("column" := basis, is_in := ('lift', 'popularity')),
    forall(
      criteria := (
        product_id <> recommended_product_id,
        rank BETWEEN 1 AND @recommendation_count,
        basis = 'popularity' OR (
          lift > 1 AND support >= @recommendation_support
        ),
        basis = 'lift' OR (
          lift IS NULL AND support IS NULL
        )
      )
    ),
    ranks_have_no_gaps
  )
);

WITH months AS (
  SELECT DISTINCT
    fct_basket_products.month_date AS month_date,
    (
      fct_basket_products.month_date - INTERVAL @recommendation_months MONTH
    )::DATE AS before_date
  FROM gold.fct_basket_products AS fct_basket_products
), basket_pairs AS (
  /* Each pair once, by the months that decide where it counts; older ones count nowhere */
  SELECT
    baskets.month_date AS month_date,
    baskets.cancelled_month_date AS cancelled_month_date,
    baskets.product_id AS product_id,
    others.product_id AS other_product_id,
    COUNT(*) AS support
  FROM gold.fct_baskets AS baskets
  INNER JOIN gold.fct_baskets AS others
    ON baskets.order_id = others.order_id AND baskets.product_id < others.product_id
  WHERE
    baskets.month_date > (
      SELECT
        MIN(months.before_date)
      FROM months AS months
    )
  GROUP BY
    baskets.month_date,
    baskets.cancelled_month_date,
    baskets.product_id,
    others.product_id
), supported_pairs AS (
  SELECT
    months.month_date AS month_date,
    basket_pairs.product_id AS product_id,
    basket_pairs.other_product_id AS other_product_id,
    SUM(basket_pairs.support)::BIGINT AS support
  FROM months AS months
  INNER JOIN basket_pairs AS basket_pairs
    ON basket_pairs.month_date > months.before_date
    AND basket_pairs.month_date <= months.month_date
    AND (
      basket_pairs.cancelled_month_date IS NULL
      OR basket_pairs.cancelled_month_date > months.month_date
    )
  GROUP BY
    months.month_date,
    basket_pairs.product_id,
    basket_pairs.other_product_id
  HAVING
    SUM(basket_pairs.support) >= @recommendation_support
), directed_pairs AS (
  SELECT
    supported_pairs.month_date AS month_date,
    supported_pairs.product_id AS product_id,
    supported_pairs.other_product_id AS other_product_id,
    supported_pairs.support AS support
  FROM supported_pairs AS supported_pairs
  UNION ALL
  SELECT
    supported_pairs.month_date AS month_date,
    supported_pairs.other_product_id AS product_id,
    supported_pairs.product_id AS other_product_id,
    supported_pairs.support AS support
  FROM supported_pairs AS supported_pairs
), lifted_products AS (
  SELECT
    directed_pairs.month_date AS month_date,
    directed_pairs.product_id AS product_id,
    directed_pairs.other_product_id AS other_product_id,
    directed_pairs.support AS support,
    others.baskets AS other_baskets,
    directed_pairs.support * products.all_baskets AS observed,
    products.baskets * others.baskets AS expected
  FROM directed_pairs AS directed_pairs
  INNER JOIN gold.fct_basket_products AS products
    ON directed_pairs.month_date = products.month_date
    AND directed_pairs.product_id = products.product_id
  INNER JOIN gold.fct_basket_products AS others
    ON directed_pairs.month_date = others.month_date
    AND directed_pairs.other_product_id = others.product_id
  WHERE
    products.is_offered AND others.is_offered
), recommended_by_lift AS (
  /* For one product, lifts are in the order of support ÷ baskets of the other: a DOUBLE tells any two such ratios of
  integers below 2^26 apart, and is the same for equal ones */
  SELECT
    lifted_products.month_date AS month_date,
    lifted_products.product_id AS product_id,
    lifted_products.other_product_id AS other_product_id,
    lifted_products.support AS support,
    lifted_products.observed::DOUBLE / NULLIF(lifted_products.expected, 0)::DOUBLE AS lift,
    ROW_NUMBER() OVER (
      PARTITION BY lifted_products.month_date, lifted_products.product_id
      ORDER BY lifted_products.support::DOUBLE / NULLIF(lifted_products.other_baskets, 0)::DOUBLE DESC, lifted_products.support DESC, lifted_products.other_product_id
    ) AS place
  FROM lifted_products AS lifted_products
  WHERE
    lifted_products.observed > lifted_products.expected
), recommended_by_popularity AS (
  /* One more than there are places: besides those that are recommended already, only the product itself is left out */
  SELECT
    products.month_date AS month_date,
    products.product_id AS product_id,
    others.product_id AS other_product_id,
    others.popularity_rank AS place
  FROM gold.fct_basket_products AS products
  INNER JOIN gold.fct_basket_products AS others
    ON products.month_date = others.month_date
    AND products.product_id <> others.product_id
    AND others.popularity_rank <= @recommendation_count + 1
  LEFT JOIN recommended_by_lift AS recommended_by_lift
    ON products.month_date = recommended_by_lift.month_date
    AND products.product_id = recommended_by_lift.product_id
    AND others.product_id = recommended_by_lift.other_product_id
  WHERE
    products.is_offered AND recommended_by_lift.product_id IS NULL
), candidates AS (
  SELECT
    recommended_by_lift.month_date AS month_date,
    recommended_by_lift.product_id AS product_id,
    recommended_by_lift.other_product_id AS other_product_id,
    'lift' AS basis,
    recommended_by_lift.lift AS lift,
    recommended_by_lift.support AS support,
    recommended_by_lift.place AS place
  FROM recommended_by_lift AS recommended_by_lift
  UNION ALL
  SELECT
    recommended_by_popularity.month_date AS month_date,
    recommended_by_popularity.product_id AS product_id,
    recommended_by_popularity.other_product_id AS other_product_id,
    'popularity' AS basis,
    NULL::DOUBLE AS lift,
    NULL::BIGINT AS support,
    recommended_by_popularity.place AS place
  FROM recommended_by_popularity AS recommended_by_popularity
), ranked_candidates AS (
  SELECT
    candidates.month_date AS month_date,
    candidates.product_id AS product_id,
    candidates.other_product_id AS other_product_id,
    candidates.basis AS basis,
    candidates.lift AS lift,
    candidates.support AS support,
    ROW_NUMBER() OVER (
      PARTITION BY candidates.month_date, candidates.product_id
      ORDER BY candidates.basis, candidates.place
    ) AS rank
  FROM candidates AS candidates
)
SELECT
  ranked_candidates.month_date::DATE AS month_date, /* First day of the month, the last of those that the baskets are of */
  ranked_candidates.product_id::BIGINT AS product_id, /* Product beside which it is recommended */
  ranked_candidates.rank::INT AS rank, /* Place of the recommendation, from 1 on */
  ranked_candidates.other_product_id::BIGINT AS recommended_product_id, /* Recommended product */
  ranked_candidates.basis::TEXT AS basis, /* lift, or popularity where places were left */
  ranked_candidates.lift::DOUBLE AS lift, /* How many times as often they are bought together as if by chance; NULL by popularity; NOT additive */
  ranked_candidates.support::BIGINT AS support /* Baskets with both; NULL by popularity; NOT additive */
FROM ranked_candidates AS ranked_candidates
WHERE
  ranked_candidates.rank <= @recommendation_count
