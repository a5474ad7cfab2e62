MODEL (
  name gold.rpt_customer_segments,
  kind FULL, /* A late order may move its customer in any month, a new month adds its moves */
  cron '@daily',
  owner shop,
  description 'One row per complete month and move of customers of the shop: their segment at the end of the month before and at its end.',
  grain (month_date, previous_segment, segment),
  tags (gold, shop),
  depends_on (
    silver.customers
  ), /* For the audit that counts them */
  audits (
    not_null(
      columns := (
        month_date,
        previous_segment,
        segment,
        customers,
        buyers,
        moved_customers,
        new_customers,
        left_customers,
        monetary_amount
      )
    ),
    unique_combination_of_columns(columns := (month_date, previous_segment, segment)),
    forall(
      criteria := (
        customers + left_customers > 0,
        buyers IN (0, customers),
        moved_customers + new_customers BETWEEN 0 AND customers,
        segment <> 'none' OR customers = 0,
        segment = 'none' OR left_customers = 0,
        NOT (
          segment = 'none' AND previous_segment = 'none'
        )
      )
    ),
    segments_cover_all_customers,
    moves_follow_the_month_before
  )
);

WITH moves AS (
  SELECT
    fct_customer_monthly.month_date AS month_date,
    COALESCE(earlier_months.segment, 'none') AS previous_segment,
    fct_customer_monthly.segment AS segment,
    fct_customer_monthly.monetary_amount AS monetary_amount
  FROM gold.fct_customer_monthly AS fct_customer_monthly
  LEFT JOIN gold.fct_customer_monthly AS earlier_months
    ON fct_customer_monthly.customer_id = earlier_months.customer_id
    AND fct_customer_monthly.month_date = (
      earlier_months.month_date + INTERVAL '1' MONTH
    )::DATE
  UNION ALL
  /* Deleted since */
  SELECT
    dim_business_month.month_date AS month_date,
    earlier_months.segment AS previous_segment,
    'none' AS segment,
    0::DECIMAL(18, 6) AS monetary_amount
  FROM gold.fct_customer_monthly AS earlier_months
  INNER JOIN gold.dim_business_month AS dim_business_month
    ON (
      earlier_months.month_date + INTERVAL '1' MONTH
    )::DATE = dim_business_month.month_date
  LEFT JOIN gold.fct_customer_monthly AS fct_customer_monthly
    ON earlier_months.customer_id = fct_customer_monthly.customer_id
    AND (
      earlier_months.month_date + INTERVAL '1' MONTH
    )::DATE = fct_customer_monthly.month_date
  WHERE
    fct_customer_monthly.customer_id IS NULL
)
SELECT
  moves.month_date::DATE AS month_date, /* First day of the month */
  moves.previous_segment::TEXT AS previous_segment, /* Segment at the end of the month before; none for customers who did not exist then */
  moves.segment::TEXT AS segment, /* Segment at the end of the month; none for customers who were deleted since */
  SUM(CASE WHEN moves.segment <> 'none' THEN 1 ELSE 0 END)::BIGINT AS customers, /* Customers who exist at the end of the month, additive over segments, not over months */
  SUM(CASE WHEN NOT moves.segment IN ('none', 'prospect') THEN 1 ELSE 0 END)::BIGINT AS buyers, /* Of these, customers with an order that counts, additive over segments, not over months */
  SUM(
    CASE
      WHEN moves.previous_segment <> 'none'
      AND moves.segment <> 'none'
      AND moves.previous_segment <> moves.segment
      THEN 1
      ELSE 0
    END
  )::BIGINT AS moved_customers, /* Of customers, those of another segment the month before, additive */
  SUM(CASE WHEN moves.previous_segment = 'none' THEN 1 ELSE 0 END)::BIGINT AS new_customers, /* Of customers, those who did not exist the month before, additive */
  SUM(CASE WHEN moves.segment = 'none' THEN 1 ELSE 0 END)::BIGINT AS left_customers, /* Customers who existed the month before and were deleted since, additive */
  SUM(moves.monetary_amount)::DECIMAL(18, 6) AS monetary_amount /* Net revenue of rfm_months months of the customers at the end of the month, reporting currency, additive over segments, not over months */
FROM moves AS moves
GROUP BY
  moves.month_date,
  moves.previous_segment,
  moves.segment
