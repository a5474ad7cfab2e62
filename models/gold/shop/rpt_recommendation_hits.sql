MODEL (
  name gold.rpt_recommendation_hits,
  kind FULL, /* A late order may change the recommendations and the baskets of every month */
  cron '@daily',
  owner shop,
  description 'One row per month with recommendations whose next month is complete: in how many of its baskets they came true.',
  grain month_date,
  tags (gold, shop),
  audits (
    not_null(columns := (month_date, baskets, hits, popularity_hits)),
    unique_values(columns := month_date),
    forall(criteria := (hits BETWEEN 0 AND baskets, popularity_hits BETWEEN 0 AND baskets))
  )
);

WITH months AS (
  SELECT DISTINCT
    rpt_product_recommendations.month_date AS month_date,
    dim_business_month.month_date AS next_month_date
  FROM gold.rpt_product_recommendations AS rpt_product_recommendations
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON dim_business_month.month_date = (
      rpt_product_recommendations.month_date + INTERVAL '1' MONTH
    )::DATE
), basket_products AS (
  SELECT
    months.month_date AS month_date,
    fct_baskets.order_id AS order_id,
    fct_baskets.product_id AS product_id
  FROM months AS months
  INNER JOIN gold.fct_baskets AS fct_baskets
    ON months.next_month_date = fct_baskets.month_date
  WHERE
    fct_baskets.cancelled_month_date IS NULL
    OR fct_baskets.cancelled_month_date > months.next_month_date
), ranked_products AS (
  SELECT
    basket_products.month_date AS month_date,
    basket_products.order_id AS order_id,
    basket_products.product_id AS product_id,
    fct_basket_products.popularity_rank AS popularity_rank
  FROM basket_products AS basket_products
  LEFT JOIN gold.fct_basket_products AS fct_basket_products
    ON basket_products.month_date = fct_basket_products.month_date
    AND basket_products.product_id = fct_basket_products.product_id
), judged_baskets AS (
  SELECT
    products.month_date AS month_date,
    products.order_id AS order_id,
    MAX(CASE WHEN NOT rpt_product_recommendations.product_id IS NULL THEN 1 ELSE 0 END) AS is_hit,
    MAX(
      CASE
        WHEN others.popularity_rank <= @recommendation_count
        AND NOT products.popularity_rank IS NULL
        THEN 1
        ELSE 0
      END
    ) AS is_popularity_hit /* That a product takes no place among the others beside it changes nothing: of two, the more popular one is recommended beside the other */
  FROM ranked_products AS products
  INNER JOIN ranked_products AS others
    ON products.order_id = others.order_id AND products.product_id <> others.product_id
  LEFT JOIN gold.rpt_product_recommendations AS rpt_product_recommendations
    ON products.month_date = rpt_product_recommendations.month_date
    AND products.product_id = rpt_product_recommendations.product_id
    AND others.product_id = rpt_product_recommendations.recommended_product_id
  GROUP BY
    products.month_date,
    products.order_id
), sums AS (
  SELECT
    judged_baskets.month_date AS month_date,
    COUNT(*) AS baskets,
    SUM(judged_baskets.is_hit) AS hits,
    SUM(judged_baskets.is_popularity_hit) AS popularity_hits
  FROM judged_baskets AS judged_baskets
  GROUP BY
    judged_baskets.month_date
)
SELECT
  months.month_date::DATE AS month_date, /* First day of the month of the recommendations */
  COALESCE(sums.baskets, 0)::BIGINT AS baskets, /* Baskets of the next month with two products or more, additive */
  COALESCE(sums.hits, 0)::BIGINT AS hits, /* Of these, baskets in which one product is recommended beside another, additive */
  COALESCE(sums.popularity_hits, 0)::BIGINT AS popularity_hits, /* The same if the most popular products were recommended beside every other, additive */
  (
    sums.hits::DOUBLE / NULLIF(sums.baskets, 0)::DOUBLE
  )::DOUBLE AS hit_rate, /* hits / baskets, 0 to 1; NULL without baskets */
  (
    sums.popularity_hits::DOUBLE / NULLIF(sums.baskets, 0)::DOUBLE
  )::DOUBLE AS popularity_hit_rate /* popularity_hits / baskets, 0 to 1; NULL without baskets */
FROM months AS months
LEFT JOIN sums AS sums
  ON months.month_date = sums.month_date
