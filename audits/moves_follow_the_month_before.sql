AUDIT (
  name moves_follow_the_month_before
);

/* Who moves from a segment, stays in it or leaves it is who had it at the end of the month before */
WITH origins AS (
  SELECT
    moves.month_date AS month_date,
    moves.previous_segment AS segment,
    SUM(moves.customers + moves.left_customers) AS customers
  FROM @this_model AS moves
  WHERE
    moves.previous_segment <> 'none'
  GROUP BY
    moves.month_date,
    moves.previous_segment
), earlier_segments AS (
  SELECT
    dim_business_month.month_date AS month_date,
    moves.segment AS segment,
    SUM(moves.customers) AS customers
  FROM @this_model AS moves
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON (
      moves.month_date + INTERVAL '1' MONTH
    )::DATE = dim_business_month.month_date
  WHERE
    moves.segment <> 'none'
  GROUP BY
    dim_business_month.month_date,
    moves.segment
)
SELECT
  COALESCE(origins.month_date, earlier_segments.month_date) AS month_date,
  COALESCE(origins.segment, earlier_segments.segment) AS segment,
  origins.customers AS customers,
  earlier_segments.customers AS earlier_customers
FROM origins AS origins
FULL JOIN earlier_segments AS earlier_segments
  ON origins.month_date = earlier_segments.month_date
  AND origins.segment = earlier_segments.segment
WHERE
  COALESCE(origins.customers, 0) <> COALESCE(earlier_segments.customers, 0)
