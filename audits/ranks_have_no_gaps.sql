AUDIT (
  name ranks_have_no_gaps
);

/* The recommendations of a product in a month have the ranks 1, 2, 3 and so on */
SELECT
  recommendations.month_date AS month_date,
  recommendations.product_id AS product_id,
  MIN(recommendations.rank) AS first_rank,
  MAX(recommendations.rank) AS last_rank,
  COUNT(*) AS recommendation_count
FROM @this_model AS recommendations
GROUP BY
  recommendations.month_date,
  recommendations.product_id
HAVING
  MIN(recommendations.rank) <> 1 OR MAX(recommendations.rank) <> COUNT(*)
